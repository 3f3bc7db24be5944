import type { RunningProcess } from './processes.js';

/** A line of the service's log. */
export interface LogLine {
  level: number;
  msg: string;
  context?: string;
  requestId?: string;
  requestIds?: string[];
  [field: string]: unknown;
}

/** The lines of a log so far; what is no line of the log, or not a whole one yet, is left out. */
export function linesOf({ output }: Pick<RunningProcess, 'output'>): LogLine[] {
  return output()
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LogLine);
}

/** Those that one request caused. */
export function linesCausedBy(process: Pick<RunningProcess, 'output'>, requestId: string): LogLine[] {
  return linesOf(process).filter((line) => (line.requestIds ?? [line.requestId]).includes(requestId));
}
