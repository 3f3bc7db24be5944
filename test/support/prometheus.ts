import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { findFreePort } from '../../src/database/postgres-server.js';
import { startDaemon } from './daemon.js';
import { findOrInstall, findProgram } from './debian.js';
import { eventually } from './eventually.js';

export const OBSERVABILITY = resolve('deploy/observability');

interface Rule {
  alert: string;
  expr: string;
  for: string;
  labels: { severity: string };
  annotations: { summary: string; description: string };
}

/** The shipped alerts. */
export function readAlerts(): Rule[] {
  const text = readFileSync(join(OBSERVABILITY, 'alerts.yml'), 'utf8');
  return (parse(text) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules);
}

interface Panel {
  title: string;
  targets?: { expr: string }[];
}

/** What the shipped dashboard asks for, with what Grafana fills in. */
export function readDashboard(): { title: string; expr: string }[] {
  const text = readFileSync(join(OBSERVABILITY, 'grafana/dashboards/booking.json'), 'utf8');
  return (JSON.parse(text) as { panels: Panel[] }).panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      title,
      expr: expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*'),
    })),
  );
}

/** Runs promtool, which comes with Debian's prometheus and is installed with it where it is missing. */
export function promtool(
  args: string[],
  options: { cwd?: string; input?: string } = {},
): { ok: boolean; output: string } {
  findOrInstall('prometheus');
  const { status, stdout, stderr } = spawnSync(findProgram('promtool') ?? 'promtool', args, {
    encoding: 'utf8',
    ...options,
  });
  return { ok: status === 0, output: stdout + stderr };
}

/** Prometheus with `deploy/observability/prometheus.yml` and its alerts. */
export interface Prometheus {
  /** The instances that it scrapes, and whether the last scrape worked. */
  targets(): Promise<{ job: string; health: string; lastError: string }[]>;
  query(expr: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]>;
  stop(): Promise<void>;
}

/**
 * Starts Prometheus for these addresses, HOST:PORT. Two things differ from what is shipped: the instances have addresses
 * instead of names, and are scraped every second.
 */
export async function startPrometheus(addresses: Record<string, string[]>): Promise<Prometheus> {
  const config = parse(readFileSync(join(OBSERVABILITY, 'prometheus.yml'), 'utf8')) as {
    global: Record<string, string>;
    scrape_configs: { job_name: string; dns_sd_configs?: unknown; static_configs?: { targets: string[] }[] }[];
  };
  config.global.scrape_interval = '1s';
  for (const job of config.scrape_configs) {
    delete job.dns_sd_configs;
    job.static_configs = [{ targets: addresses[job.job_name] ?? [] }];
  }
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const daemon = startDaemon(
    findOrInstall('prometheus'),
    {
      'prometheus.yml': stringify(config),
      'alerts.yml': readFileSync(join(OBSERVABILITY, 'alerts.yml'), 'utf8'),
    },
    (folder) => [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
  );
  const ask = async (path: string): Promise<unknown> => {
    const response = await fetch(url + path, { signal: AbortSignal.timeout(5_000) });
    const { status, data, error } = (await response.json()) as { status: string; data: unknown; error?: string };
    if (status !== 'success') throw new Error(error ?? `GET ${path}: ${status}`);
    return data;
  };
  try {
    await eventually(async () => {
      if (daemon.hasEnded()) return;
      if (!(await fetch(`${url}/-/ready`)).ok) throw new Error('Prometheus is not ready');
    });
    if (daemon.hasEnded()) throw new Error(`Prometheus ended instead of starting:\n${daemon.output()}`);
  } catch (error) {
    await daemon.stop();
    throw error;
  }
  return {
    targets: async () => {
      const data = (await ask('/api/v1/targets?state=active')) as {
        activeTargets: { labels: { job: string }; health: string; lastError: string }[];
      };
      return data.activeTargets.map(({ labels: { job }, health, lastError }) => ({ job, health, lastError }));
    },
    query: async (expr) => {
      const data = (await ask(`/api/v1/query?query=${encodeURIComponent(expr)}`)) as {
        result: { metric: Record<string, string>; value: [number, string] }[];
      };
      return data.result;
    },
    stop: () => daemon.stop(),
  };
}
