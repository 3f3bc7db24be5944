import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { OBSERVABILITY, promtool, readAlerts, readDashboard } from '../support/prometheus.js';

const SUCCESS = { ok: true, output: expect.stringContaining('SUCCESS') as string };

describe('deploy/observability', () => {
  it.each([
    ['the configuration', ['check', 'config', 'prometheus.yml']],
    ['the alerts', ['check', 'rules', 'alerts.yml']],
    ['what is said of when they fire', ['test', 'rules', 'alerts_test.yml']],
  ])('has %s in order, as promtool finds', (_what, args) => {
    expect(promtool(args, { cwd: OBSERVABILITY })).toEqual(SUCCESS);
  });

  it('has alerts that wait, weigh, say what it is, and say what to do', () => {
    const alerts = readAlerts();
    expect(alerts.length).toBeGreaterThan(10);
    for (const alert of alerts) {
      expect(alert).toEqual({
        alert: expect.stringMatching(/^Booking[A-Z]\w+$/) as string,
        expr: expect.any(String) as string,
        for: expect.stringMatching(/^\d+m$/) as string,
        labels: { severity: expect.stringMatching(/^(warning|critical)$/) as string },
        annotations: {
          summary: expect.stringMatching(/\.$/) as string,
          description: expect.stringMatching(/^.{40,}\.$/) as string,
        },
      });
    }
  });

  it('shows each alert fire, and keep quiet', () => {
    const { tests } = parse(readFileSync(join(OBSERVABILITY, 'alerts_test.yml'), 'utf8')) as {
      tests: { name: string; alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
    };
    const shown = tests.map(({ alert_rule_test: cases }) => {
      return `${cases[0]?.alertname ?? ''} ${cases.some(({ exp_alerts: alerts }) => alerts.length > 0) ? 'fires' : 'is quiet'}`;
    });
    expect(shown.sort()).toEqual(
      readAlerts()
        .flatMap(({ alert }) => [`${alert} fires`, `${alert} is quiet`])
        .sort(),
    );
  });

  it('is what Docker Compose has: the same port, files that are there, and nothing that others could reach', () => {
    const { services } = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
      services: Record<
        string,
        { volumes: string[]; ports: string[]; profiles: string[]; environment: Record<string, string> }
      >;
    };
    const { scrape_configs: jobs } = parse(readFileSync(join(OBSERVABILITY, 'prometheus.yml'), 'utf8')) as {
      scrape_configs: { job_name: string; dns_sd_configs: { names: string[]; port: number }[] }[];
    };
    expect(jobs.map(({ job_name: name }) => name)).toEqual(['app', 'worker']);
    for (const { job_name: job, dns_sd_configs: places } of jobs) {
      const port = Number(services[job]?.environment.METRICS_PORT);
      expect(places).toEqual([expect.objectContaining({ names: [job], port })]);
      expect(services[job]).not.toHaveProperty('ports');
    }
    for (const name of ['prometheus', 'grafana']) {
      expect(services[name]).toMatchObject({
        profiles: ['observability'],
        ports: [expect.stringMatching(/^127\.0\.0\.1:/)],
      });
      const files = services[name]?.volumes.filter((volume) => volume.startsWith('./')) ?? [];
      expect(files.length).toBeGreaterThan(0);
      expect(files.filter((file) => !existsSync(file.split(':')[0] ?? ''))).toEqual([]);
    }
  });

  it('has a dashboard that asks in PromQL', () => {
    const folder = mkdtempSync(join(tmpdir(), 'booking-dashboard-'));
    try {
      const rules = readDashboard().map(({ expr }, index) => ({ record: `dashboard:${index}`, expr }));
      expect(rules.length).toBeGreaterThan(20);
      writeFileSync(join(folder, 'dashboard.yml'), stringify({ groups: [{ name: 'dashboard', rules }] }));
      expect(promtool(['check', 'rules', 'dashboard.yml'], { cwd: folder })).toEqual(SUCCESS);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
