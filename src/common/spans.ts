/**
 * What the service says of the way of a request, to whoever collects traces (src/tracing). Nothing here, and nobody who
 * uses it, knows how: where no traces are asked for there is no tracer, and no span.
 */
export interface Tracer {
  /**
   * Begins what nothing here has begun: a request, a message, a round of the sweep.
   * @param traceparent what came with it (W3C Trace Context): where it is valid, that trace goes on
   */
  begin(start: SpanStart, traceparent?: unknown): Span;
  /** Sends what is left, for at most 1.5 s. Never rejects. */
  close(): Promise<void>;
}

/** A part of a trace: something that takes time. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** What whoever goes on with it is to be sent (W3C Trace Context). */
  readonly traceparent: string;
  /** The same, for what may go on for ever: what begins from it is a trace of its own, with a link to this one. */
  readonly onward: Span;
  begin(start: SpanStart): Span;
  end(end?: SpanEnd): void;
}

export type SpanAttributes = Readonly<Record<string, string | number>>;

export interface SpanStart {
  readonly name: string;
  readonly kind: 'server' | 'internal' | 'producer' | 'consumer';
  /** By `performance.now()`; now unless told. */
  readonly at?: number;
  readonly attributes?: SpanAttributes;
}

export interface SpanEnd {
  /** By `performance.now()`; now unless told. */
  readonly at?: number;
  readonly attributes?: SpanAttributes;
  /** Why it failed, where it did. */
  readonly failure?: string;
}

/** Injection token of the {@link Tracer}; null where no traces are asked for. */
export const TRACER = Symbol('TRACER');
