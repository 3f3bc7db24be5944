import fc from 'fast-check';
import type { Backstage } from '../../support/seating.js';
import type { Field, Operation } from './document.js';
import { type Part, partsOddity, type PartsOddity, requestOddity, type RequestOddity } from './oddities.js';
import type { Header, Request } from './request.js';
import { type Asker, findScene, known, type Scene, wish, type Wish } from './scenes.js';
import { valid } from './values.js';

/** The headers that say who asks; `owner` is the user of the scene. */
export type Authorize = (asker: Asker, scene: Scene) => Promise<Header[]> | Header[];

/** A value of a field as it is drawn; where `isKnown`, it is what exists instead. */
interface DrawnPart {
  field: Field;
  isKnown: boolean;
  value: unknown;
}

/** A request as it is drawn: what exists is looked for when it is sent. */
export interface Drawn {
  operation: Operation;
  wish: Wish;
  parts: (DrawnPart | null)[];
  partsOddities: PartsOddity[];
  requestOddities: RequestOddity[];
}

/** No schema can say that they are to be in the future, and in which order. */
const ALWAYS_KNOWN = ['start', 'end'];

/** Requests to all operations, more to those that have more fields: a third of them are as they should be, and the others odd in a way or more. */
export function requests(operations: readonly Operation[]): fc.Arbitrary<Drawn> {
  return fc.oneof(
    ...operations.map((operation) => ({ weight: 3 + operation.fields.length, arbitrary: requestTo(operation) })),
  );
}

function requestTo(operation: Operation): fc.Arbitrary<Drawn> {
  return fc.record({
    operation: fc.constant(operation),
    wish,
    // Whoever adds something says what does not exist yet.
    parts: fc.oneof(...[100, 100, 100, 50, 50, 0].map((percentKnown) => partsOf(operation, percentKnown))),
    partsOddities: sometimes(partsOddity(operation)),
    requestOddities: sometimes(requestOddity),
  });
}

function partsOf({ fields }: Operation, percentKnown: number): fc.Arbitrary<(DrawnPart | null)[]> {
  const parts = fields.map((field) => {
    const part = fc.record({
      field: fc.constant(field),
      isKnown: fc.nat({ max: 99 }).map((drawn) => drawn < percentKnown || ALWAYS_KNOWN.includes(field.name)),
      value: valid(field.schema),
    });
    return field.required ? part : fc.option(part, { freq: 2 });
  });
  return fc.tuple(...parts);
}

function sometimes<T>(oddity: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.oneof(
    { weight: 6, arbitrary: fc.constant<T[]>([]) },
    { weight: 4, arbitrary: fc.array(oddity, { minLength: 1, maxLength: 2 }) },
  );
}

/** The request as it goes out, about what exists just now. */
export async function prepare(drawn: Drawn, backstage: Backstage, authorize: Authorize): Promise<Request> {
  const { operation, wish, partsOddities, requestOddities } = drawn;
  const scene = await findScene(backstage, wish);
  const parts: Part[] = drawn.parts
    .filter((part) => part !== null)
    .map(({ field, isKnown, value }) => ({ field, value: (isKnown ? known(scene, field) : undefined) ?? value }));
  for (const change of partsOddities) change(parts);
  const valuesIn = (where: Field['in']): [name: string, value: unknown][] =>
    parts.filter(({ field }) => field.in === where).map(({ field, value }) => [field.name, value]);
  const inPath = new Map(valuesIn('path'));
  const fields = valuesIn('body');
  const hasBody = operation.body !== null || fields.length > 0;
  const request: Request = {
    method: operation.method,
    segments: operation.segments.map((segment) =>
      segment.startsWith('{') ? encoded(inPath.get(segment.slice(1, -1))) : segment,
    ),
    query: valuesIn('query').map(([name, value]) => `${encoded(name)}=${encoded(value)}`),
    headers: [
      ...(hasBody ? [['Content-Type', 'application/json'] as Header] : []),
      ...valuesIn('header').map(([name, value]): Header => [name, textOf(value)]),
      ...(await authorize(wish.asker, scene)),
    ],
    // They are own fields also where they are called `__proto__`.
    body: hasBody ? JSON.stringify(Object.fromEntries(fields)) : '',
  };
  for (const change of requestOddities) change(request);
  // What no header can carry is left out.
  request.headers = request.headers.map(([name, value]) => [name, value.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '')]);
  return request;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function encoded(value: unknown): string {
  // By way of bytes: what is no UTF-16 cannot be encoded.
  return encodeURIComponent(Buffer.from(textOf(value)).toString());
}
