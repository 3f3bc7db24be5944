/** What of JSON Schema our OpenAPI document has, with every reference put in place. */
export interface Schema {
  type?: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object';
  nullable?: boolean;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean;
}

/** A parameter, or a field of a body. */
export interface Field {
  in: 'path' | 'query' | 'header' | 'body';
  name: string;
  required: boolean;
  schema: Schema;
}

/** One method of one path, as the document describes it. */
export interface Operation {
  /** As in `POST /book`. */
  name: string;
  method: string;
  /** Of the path; one in braces is a parameter. */
  segments: string[];
  fields: Field[];
  body: Schema | null;
  /** Whether it asks for a token. */
  isGuarded: boolean;
  /** By status; null: an answer without a body. */
  responses: Map<number, Schema | null>;
}

/** What is read of a document as it is served. */
export interface Document {
  paths: Record<string, Record<string, RawOperation>>;
  components: { schemas: Record<string, unknown> };
}

interface RawOperation {
  parameters?: Field[];
  requestBody?: Content;
  security: object[];
  responses: Record<string, Content>;
}

interface Content {
  content?: Record<string, { schema: Schema }>;
}

/** Every operation of a document. @throws Error for a body that is not JSON, or a reference that leads nowhere */
export function operationsOf(document: Document): Operation[] {
  const { paths } = resolve(document, document) as Document;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, security, responses }]) => {
      const body = requestBody === undefined ? null : schemaOf(requestBody);
      return {
        name: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        segments: path.slice(1).split('/'),
        fields: [...parameters, ...fieldsOf(body)],
        body,
        isGuarded: security.length > 0,
        responses: new Map(Object.entries(responses).map(([status, each]) => [Number(status), schemaOf(each)])),
      };
    }),
  );
}

/** The operation that a request goes to, as its method and the path without the query say; HEAD is GET without a body. */
export function findOperation(operations: readonly Operation[], method: string, path: string): Operation | undefined {
  const segments = path.slice(1).split('/');
  return operations.find(
    (operation) =>
      operation.method === (method === 'HEAD' ? 'GET' : method) &&
      operation.segments.length === segments.length &&
      operation.segments.every((segment, index) => segment.startsWith('{') || segments[index] === segment),
  );
}

function fieldsOf(body: Schema | null): Field[] {
  return Object.entries(body?.properties ?? {}).map(([name, schema]) => ({
    in: 'body',
    name,
    required: body?.required?.includes(name) ?? false,
    schema,
  }));
}

function schemaOf({ content }: Content): Schema | null {
  if (content === undefined) return null;
  const json = content['application/json'];
  if (json === undefined) throw new Error(`No JSON but ${Object.keys(content).join()}`);
  return json.schema;
}

function resolve(node: unknown, document: Document): unknown {
  if (typeof node !== 'object' || node === null) return node;
  if (Array.isArray(node)) return node.map((each) => resolve(each, document));
  if ('$ref' in node) {
    const name = String(node.$ref).replace('#/components/schemas/', '');
    if (!(name in document.components.schemas)) throw new Error(`There is no schema ${name}`);
    return resolve(document.components.schemas[name], document);
  }
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, resolve(value, document)]));
}
