import type { OutgoingHttpHeaders } from 'node:http';

export type Header = [name: string, value: string];

/** A request as it goes out. */
export interface Request {
  method: string;
  /** Of the path, encoded. */
  segments: string[];
  /** Of the query, encoded: `name=value` each. */
  query: string[];
  headers: Header[];
  body: string | Buffer;
}

/** The path with its query, as it stands in the request. */
export function targetOf({ segments, query }: Pick<Request, 'segments' | 'query'>): string {
  return `/${segments.join('/')}${query.length === 0 ? '' : `?${query.join('&')}`}`;
}

export function headersOf({ headers }: Pick<Request, 'headers'>): OutgoingHttpHeaders {
  const values = new Map<string, string | string[]>();
  for (const [name, value] of headers) {
    const before = values.get(name);
    // Node sends no two of `Host`.
    values.set(name, before === undefined || name === 'Host' ? value : [before, value].flat());
  }
  return Object.fromEntries(values);
}
