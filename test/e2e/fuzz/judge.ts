import { Ajv, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import type { Answer } from '../../../src/cli/api-client.js';
import { findOperation, type Operation, type Schema } from './document.js';
import { type Request, targetOf } from './request.js';

/** Node refuses a request whose line and headers are larger; none that is drawn comes near it from below. */
const HEAD_LIMIT = 16_384;
/** In HTTP's first line there are printable characters of ASCII only. */
const NO_TARGET = /[^\x21-\x7e]/;

/** A place in a program, a file of ours or of a package, and words of SQL. */
const LEAKS = [
  /\bat \S.*:\d+:\d+/,
  /node_modules|file:\/\/|(?:^|[\s"(])\/\w+\/[\w/-]+\.\w+|\b\w+\.(?:js|ts|mjs):\d/,
  /\b(?:SELECT|INSERT INTO|DELETE FROM|UPDATE \w+ SET|violates|constraint|relation|syntax error at or near)\b/,
  /\b(?:QueryFailedError|TypeError|RangeError|SyntaxError|FST_ERR_\w+|HPE_\w+|ECONN\w+)\b/,
];

/** HTTP itself does not know it, and so nothing else of the request is read. */
const UNKNOWN_METHOD = 'FROB';
const NO_ROUTE = { status: 404, code: 'ROUTE_NOT_FOUND' };
const UNREADABLE = { status: 400, code: 'MALFORMED_REQUEST' };

/** Holds answers against the document, and counts them. */
export class Judge {
  /** How often each status came from each operation. */
  readonly seen = new Map<string, Map<number, number>>();
  /** Requests to paths and methods that no operation has. */
  misses = 0;
  private readonly answers = new Ajv({ strict: true, allowUnionTypes: true });
  private readonly bodies = new Ajv({ strict: true });
  private readonly parameters = new Ajv({ strict: true, coerceTypes: true });
  private readonly compiled = new Map<unknown, ValidateFunction>();

  /**
   * @param names what is called so in the database, and must not be in any answer
   * @param tokens that are good
   */
  constructor(
    private readonly operations: readonly Operation[],
    private readonly names: readonly string[],
    private readonly tokens: ReadonlySet<string>,
  ) {
    for (const ajv of [this.answers, this.bodies, this.parameters]) {
      addFormats.default(ajv);
      ajv.addVocabulary(['example']);
    }
  }

  /** @throws Error that says what is wrong with the answer, where something is */
  judge(request: Request, answer: Answer): void {
    this.expectNoLeak(answer);
    const expected = this.expectedOf(request);
    if ('status' in expected) {
      this.misses += 1;
      const isCode = request.method === 'HEAD' || codeOf(answer) === expected.code;
      const isAsExpected = answer.status === expected.status && isCode;
      if (!isAsExpected) throw new Error(`expected ${expected.status} ${expected.code}`);
      return;
    }
    const counts = this.seen.get(expected.name) ?? new Map<number, number>();
    this.seen.set(expected.name, counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1));
    const schema = expected.responses.get(answer.status);
    if (schema === undefined) throw new Error(`${answer.status} is not documented for ${expected.name}`);
    if (answer.status >= 500) throw new Error('nothing is away: no request may be answered so');
    if (answer.status < 300) this.expectAsDocumented(expected, request);
    // What is too long for a path is no route at all.
    const isRefusedFirst = answer.status === 401 || codeOf(answer) === NO_ROUTE.code;
    if (expected.isGuarded && !isRefusedFirst && !this.hasGoodToken(request)) {
      throw new Error('whoever sends no good token is to be told that, and nothing else');
    }
    if (request.method === 'HEAD') {
      if (answer.body !== null) throw new Error('HEAD has no body');
      return;
    }
    if (schema === null)
      throw new Error(`the document does not say what ${expected.name} answers with ${answer.status}`);
    if (!/^application\/json(?:; charset=utf-8)?$/.test(String(answer.headers['content-type']))) {
      throw new Error(`its content type is ${String(answer.headers['content-type'])}`);
    }
    this.expectValid(this.answers, closed(schema), schema, answer.body, 'the answer');
  }

  private expectedOf(request: Request): Operation | { status: number; code: string } {
    const target = targetOf(request);
    if (request.method === UNKNOWN_METHOD) return NO_ROUTE;
    const headers = request.headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
    if (target.length + headers > HEAD_LIMIT || NO_TARGET.test(target)) return UNREADABLE;
    const [path = ''] = target.split(/[?#]/, 1);
    try {
      return findOperation(this.operations, request.method, decodeURI(path)) ?? NO_ROUTE;
    } catch {
      return UNREADABLE;
    }
  }

  /** What was done for a request must be what the document allows to ask for. */
  private expectAsDocumented({ fields, body, segments }: Operation, request: Request): void {
    const asked = fields.filter((field) => field.in !== 'body');
    const sent = new URLSearchParams(request.query.join('&'));
    const values: Record<string, unknown> = {};
    for (const { name, in: where } of asked) {
      const found =
        where === 'query'
          ? sent.getAll(name)
          : where === 'path'
            ? [decodeURIComponent(request.segments[segments.indexOf(`{${name}}`)] ?? '')]
            : request.headers
                .filter(([header]) => header.toLowerCase() === name.toLowerCase())
                .map(([, value]) => value);
      // Several headers of a name are one.
      if (found.length > 0)
        values[name] = where === 'header' ? found.join(', ').trim() : found.length === 1 ? found[0] : found;
    }
    const schema: Schema = {
      type: 'object',
      properties: Object.fromEntries(asked.map((field) => [field.name, field.schema])),
      required: asked.filter(({ required }) => required).map(({ name }) => name),
    };
    this.expectValid(this.parameters, schema, fields, values, 'what was asked for, and granted,');
    if (body === null) return;
    // A mark of the byte order may stand in front of JSON, RFC 8259 says.
    const sentBody: unknown = JSON.parse(request.body.toString().replace(/^\ufeff/, ''));
    this.expectValid(this.bodies, body, body, sentBody, 'what was asked for, and granted,');
  }

  private hasGoodToken({ headers }: Request): boolean {
    const [, value] = headers.find(([name]) => name === 'Authorization') ?? [];
    return value !== undefined && this.tokens.has(value);
  }

  private expectValid(ajv: Ajv, schema: Schema, key: unknown, value: unknown, what: string): void {
    const validate = this.compiled.get(key) ?? ajv.compile(schema);
    this.compiled.set(key, validate);
    if (!validate(value)) throw new Error(`${what} is not as documented: ${ajv.errorsText(validate.errors)}`);
  }

  private expectNoLeak(answer: Answer): void {
    const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
    const leak = LEAKS.map((pattern) => pattern.exec(text)?.[0]).find((found) => found !== undefined);
    const name = this.names.find((each) => text.includes(each));
    if (leak !== undefined || name !== undefined) throw new Error(`it shows ${leak ?? name ?? ''}`);
  }
}

function codeOf({ body }: Answer): unknown {
  return typeof body === 'object' && body !== null && 'code' in body ? body.code : null;
}

/** The schema without leave for fields that it does not know: nothing is sent that is not documented. */
function closed(schema: Schema): Schema {
  const { properties, items } = schema;
  return {
    ...schema,
    ...(items === undefined ? {} : { items: closed(items) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, closed(each)])),
          additionalProperties: false,
        }),
  };
}

/** A request and its answer, for whoever is to try it again. */
export function describe(request: Request, answer: Answer | null): string {
  const short = (text: string): string => (text.length > 300 ? `${text.slice(0, 300)}… (${text.length})` : text);
  const { method, headers, body } = request;
  return [
    short(`${method} ${targetOf(request)}`),
    ...headers.map(([name, value]) => short(`${name}: ${value}`)),
    short(typeof body === 'string' ? JSON.stringify(body) : `base64 ${body.toString('base64')}`),
    answer === null ? 'was not answered' : short(`→ ${answer.status} ${JSON.stringify(answer.body)}`),
  ].join('\n');
}
