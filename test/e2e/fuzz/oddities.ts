import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { Field, Operation } from './document.js';
import type { Header, Request } from './request.js';
import { anything, odd } from './values.js';

/** A parameter or a field of a body with its value; one that no schema knows has just a name and a place. */
export interface Part {
  field: Pick<Field, 'in' | 'name'>;
  value: unknown;
}

/** What is wrong with what a request says, and with how it says it. */
export type PartsOddity = (parts: Part[]) => void;
export type RequestOddity = (request: Request) => void;

const words = (text: string): string[] => text.trim().split(/\s+/);
const long = (...lengths: number[]): string[] => lengths.map((length) => 'x'.repeat(length));

const METHODS = words('GET HEAD POST PUT PATCH DELETE OPTIONS TRACE PROPFIND SEARCH FROB');

const CONTENT_TYPES = [
  ...words('APPLICATION/JSON application/json;charset=latin1 application/json,text/plain text/plain text/json'),
  ...words('application/x-www-form-urlencoded multipart/form-data;boundary=x application/xml application/problem+json'),
  ...words('application/jsonx application ; */* \xe9'),
  ...['application/json; charset=utf-8', 'application/json ; charset=utf-8', '', ' '],
  ...long(2_000),
];

const SEGMENTS = [
  ...words('. .. %2e%2e %2F a%2Fb %2f..%2f %5c %00 a%00 %0d%0a %zz % %E0%A4%A %C3%28 %FF %25 %2500 %20 + a+b %D9%A1'),
  ...words('%E2%82%AC %F0%9F%98%80 %ud800 ;a=b a;b * :name {name} __proto__ constructor 0x10 1e3 -1 1.0 0 null NaN'),
  ...words('9007199254740992 # x#y \xe9 bookings history'),
  ...['', ...long(256, 765, 766, 3_000), '%61'.repeat(255), '%61'.repeat(256), '1'.repeat(400)],
];

const QUERIES = [
  ...words('= && ? x x=1 =1 __proto__[x]=1 a[b]=c a[]=1 %zz=1 x=% x=%C3%28'),
  ...words('limit=1 limit=0 limit=101 limit=1001 limit=1e1 limit=%31 limit limit= limit=1;after=1 limit=1&limit=1'),
  ...words('after=0 after=1 after=x after= after=9007199254740993 topic= topic=%00 topic=a+b topic=%C3%28 topic[]=a'),
  ...long(4_000, 20_000),
];

const INHERITED = words('__proto__=1 constructor=1 toString=1');

const HEADERS: Header[] = [
  ...['', ' ', 'k', '\xe9', '\t', "'; --", ...long(255, 256, 4_000)].map((text): Header => ['Idempotency-Key', text]),
  ...['', 'a b', '\xff', 'a,b', ...long(4_000)].map((text): Header => ['X-Request-Id', text]),
  ...['', 'Bearer', 'Bearer a.b.c', 'Basic Og==', 'bearer \xe9', ...long(8_000)].map((text): Header => [
    'Authorization',
    text,
  ]),
  ...['127.0.0.1', '::1, 10.0.0.1', 'nowhere', ...long(4_000)].map((text): Header => ['X-Forwarded-For', text]),
  ['Accept', 'text/html'],
  ['Accept-Encoding', 'br'],
  ['Content-Encoding', 'gzip'],
  ['Cookie', '__proto__=1; a=\xe9'],
  ['Expect', 'banana'],
  ['Expect', '100-continue'],
  ['Authorization', ''],
  ['Authorization', 'Basic YWRhOmFkYQ=='],
  ['Authorization', 'Bearer a.b.c'],
  ['Host', 'elsewhere'],
  ['Host', ''],
  ['If-None-Match', '*'],
  ['Origin', 'https://elsewhere.example'],
  ['Range', 'bytes=0-1'],
  ['Upgrade', 'websocket'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['X-Padding', 'x'.repeat(20_000)],
  ['__proto__', '1'],
];

const BODIES = [
  ...words(
    `{ } {} {}{} [] [{}] null "text" 5 true undefined NaN \0 {'a':1} {"a":1,} {"a":01} {"a":"\\ud800"} {"a":"\\x"}`,
  ),
  ...words('user_id=ada1 \ufeff{} \u2028{} {"__proto__":{"a":1}} {"constructor":{"prototype":{"a":1}}}'),
  ...[' ', '{"a":"\t"}', '['.repeat(20_000), `${'['.repeat(20_000)}${']'.repeat(20_000)}`],
  ...[`${'{"a":'.repeat(9_000)}1${'}'.repeat(9_000)}`, `{"a":1${'0'.repeat(60_000)}}`],
];

/** Bytes that a body is filled up to, around the 64 KiB that it may have. */
const LENGTHS = [65_535, 65_536, 65_537, 65_537, 131_072];
/** Characters that a body is cut off after. */
const CUTS = [1, 2, 10, 20, 30, 50, 80, 120];

/** What becomes of a body that is text. */
const EDITS: ((body: string) => string | Buffer)[] = [
  () => '',
  (body) => `\ufeff${body}`,
  (body) => `${body}${body}`,
  (body) => gzipSync(body),
  (body) => Buffer.from(body, 'utf16le'),
  (body) => Buffer.from(body.replace('"', '"\xff'), 'latin1'),
  // The first field twice.
  (body) => body.replace(/^\{("\w+":[^,{}[\]]+),/, '{$1,$1,'),
];

/** What becomes of a path that is right. */
const PATHS: ((segments: string[]) => string[])[] = [
  (segments) => segments.slice(0, -1),
  (segments) => ['', ...segments],
  (segments) => segments.map((segment) => segment.toUpperCase()),
  // It says the same where its letters are encoded.
  ([first = '', ...others]) => [
    first.replace(/^[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
    ...others,
  ],
];

function each<T>(
  values: readonly T[],
  apply: (request: Request, value: T) => void,
  weight = 1,
): fc.WeightedArbitrary<RequestOddity> {
  return { weight, arbitrary: fc.constantFrom(...values).map((value) => (request) => apply(request, value)) };
}

function setType(request: Request, type: string): void {
  request.headers = request.headers.filter(([name]) => name !== 'Content-Type');
  if (type !== '') request.headers.push(['Content-Type', type]);
}

function edit(request: Request, change: (body: string) => string | Buffer): void {
  request.body = change(request.body.toString());
}

export const requestOddity: fc.Arbitrary<RequestOddity> = fc.oneof(
  each(METHODS, (request, method) => (request.method = method)),
  each(CONTENT_TYPES, setType, 2),
  each([0, 1, 2], (request, index) => request.headers.push(...request.headers.slice(index, index + 1))),
  each(HEADERS, (request, header) => request.headers.push(header)),
  each(SEGMENTS, (request, segment) => request.segments.splice(-1, 1, segment)),
  each(SEGMENTS, (request, segment) => request.segments.splice(1, 1, segment)),
  each(SEGMENTS, (request, segment) => request.segments.push(segment)),
  each(PATHS, (request, change) => (request.segments = change(request.segments))),
  each([...QUERIES, ...INHERITED], (request, text) => request.query.push(text)),
  each(INHERITED, (request, text) => request.query.push(text)),
  each(BODIES, (request, body) => (request.body = body)),
  each(EDITS, edit),
  each(LENGTHS, (request, length) => edit(request, (body) => body.padEnd(length)), 3),
  each(CUTS, (request, length) => edit(request, (body) => body.slice(0, length))),
);

/** Oddities of the fields that an operation has, and fields that it has not. */
export function partsOddity({ fields }: Operation): fc.Arbitrary<PartsOddity> {
  const names = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...words('status toString __proto__ prototype a\0 é User_id'), '') },
    fc.string(),
  );
  const unknown = fc.record({ in: fc.constantFrom<Field['in']>('query', 'body'), name: names, value: anything }).map(
    ({ value, ...field }): PartsOddity =>
      (parts) =>
        parts.push({ field, value }),
  );
  const changes = fields.map((field) =>
    odd(field.schema).map((value): PartsOddity => (parts) => {
      for (const part of parts) if (part.field === field) part.value = value;
    }),
  );
  const omissions = fields
    .filter((field) => field.in !== 'path')
    .map((field) =>
      fc.constant<PartsOddity>((parts) => {
        const index = parts.findIndex((part) => part.field === field);
        if (index >= 0) parts.splice(index, 1);
      }),
    );
  return fc.oneof({ weight: 1 + fields.length, arbitrary: unknown }, ...changes, ...changes, ...omissions);
}
