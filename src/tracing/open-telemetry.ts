import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import {
  isSpanContextValid,
  ROOT_CONTEXT,
  type Context,
  type Span as ApiSpan,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
  type Tracer as ApiTracer,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import { ATTR_ERROR_TYPE, ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
// Only types come from the service: this file is not part of its bundle, and would bring a second one of whatever it used.
import type { Span, SpanEnd, SpanStart, Tracer } from '../common/spans.js';
import type { Environment } from '../config/environment.js';

const EXPORT_TIMEOUT_MS = 5_000;
const CLOSE_WITHIN_MS = 1_500;
/** Spans are sent after so long, or when there are 512; beyond 8,192 they are dropped. */
const SEND_EVERY_MS = 1_000;
const UNSENT_MOST = 8_192;

/** The one version there is. Source: https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

const KINDS: Record<SpanStart['kind'], SpanKind> = {
  server: SpanKind.SERVER,
  internal: SpanKind.INTERNAL,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

interface Log {
  log: (message: string) => void;
  warn: (message: string) => void;
}

/** Begins to collect traces and to send them, as OTLP over HTTP. An endpoint that is away is said once, and harms nobody. */
export function startTracing(traces: NonNullable<Environment['traces']>, log: Log): Tracer {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      [ATTR_SERVICE_NAME]: traces.serviceName,
      'service.instance.id': `${hostname()}.${process.pid}`,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(traces.ratio) }),
    spanProcessors: [
      new BatchSpanProcessor(tellingExporter(traces.endpoint, log), {
        scheduledDelayMillis: SEND_EVERY_MS,
        maxQueueSize: UNSENT_MOST,
      }),
    ],
  });
  return new OpenTelemetryTracer(provider);
}

class OpenTelemetryTracer implements Tracer {
  private readonly tracer: ApiTracer;

  constructor(private readonly provider: BasicTracerProvider) {
    this.tracer = provider.getTracer('conference-booking');
  }

  begin(start: SpanStart, traceparent?: unknown): Span {
    return new OpenTelemetrySpan(
      this.tracer,
      this.tracer.startSpan(start.name, optionsOf(start), parentOf(traceparent)),
    );
  }

  async close(): Promise<void> {
    await Promise.race([this.provider.shutdown().catch(() => undefined), pause(CLOSE_WITHIN_MS)]);
  }
}

class OpenTelemetrySpan implements Span {
  constructor(
    private readonly tracer: ApiTracer,
    private readonly span: ApiSpan,
    private readonly isOnward = false,
  ) {}

  get traceId(): string {
    return this.span.spanContext().traceId;
  }

  get spanId(): string {
    return this.span.spanContext().spanId;
  }

  get traceparent(): string {
    const { traceId, spanId, traceFlags } = this.span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  }

  get onward(): Span {
    return new OpenTelemetrySpan(this.tracer, this.span, true);
  }

  begin(start: SpanStart): Span {
    const options = optionsOf(start);
    const span = this.isOnward
      ? this.tracer.startSpan(start.name, { ...options, links: [{ context: this.span.spanContext() }] }, ROOT_CONTEXT)
      : this.tracer.startSpan(start.name, options, trace.setSpan(ROOT_CONTEXT, this.span));
    return new OpenTelemetrySpan(this.tracer, span);
  }

  end({ at, attributes, failure }: SpanEnd = {}): void {
    if (attributes !== undefined) this.span.setAttributes(attributes);
    if (failure !== undefined) {
      this.span.setAttribute(ATTR_ERROR_TYPE, failure).setStatus({ code: SpanStatusCode.ERROR });
    }
    this.span.end(epochMs(at));
  }
}

function optionsOf({ kind, at, attributes }: SpanStart): SpanOptions {
  return {
    kind: KINDS[kind],
    startTime: epochMs(at),
    ...(attributes !== undefined && { attributes }),
  };
}

/** One clock for all spans: left to itself, the library compares two for each of them, which differ by a millisecond. */
function epochMs(at = performance.now()): number {
  return performance.timeOrigin + at;
}

/** Where a span belongs that came with this: to that trace, or to none where it is no traceparent. */
function parentOf(traceparent: unknown): Context {
  const [, traceId = '', spanId = '', flags = ''] =
    (typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent) : null) ?? [];
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(parent) ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
}

function tellingExporter(endpoint: string, log: Log): SpanExporter {
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/$/, '')}/v1/traces`,
    timeoutMillis: EXPORT_TIMEOUT_MS,
  });
  let isAway = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const { error } = result;
        if (error !== undefined && !isAway) {
          log.warn(
            `Traces cannot be sent to ${new URL(endpoint).host} (${error.message}): they are dropped until it is back`,
          );
        }
        if (error === undefined && isAway) log.log('Traces are sent again');
        isAway = error !== undefined;
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
  };
}
