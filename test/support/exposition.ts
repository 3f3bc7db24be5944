/** One line of what is scraped. */
export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/gy;

/** The mean of nothing is `Nan`. */
const VALUES: Record<string, number> = { '+Inf': Infinity, Nan: NaN };

/** Reads the text format of Prometheus, strictly. Errors: the line that it cannot read. */
export function parseExposition(text: string): Sample[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [, name = '', inside = '', number = ''] = LINE.exec(line) ?? [];
    const labels = [...inside.matchAll(LABEL)];
    const value = VALUES[number] ?? Number(number);
    if (name === '' || (Number.isNaN(value) && !(number in VALUES)) || labels.map(([all]) => all).join('') !== inside) {
      throw new Error(`This is no sample: ${line}`);
    }
    return { name, value, labels: Object.fromEntries(labels.map(([, key = '', text = '']) => [key, text])) };
  });
}

/** What was scraped at one moment. */
export class Scrape {
  readonly samples: Sample[];

  constructor(readonly text: string) {
    this.samples = parseExposition(text);
  }

  static async from(url: string, headers: Record<string, string> = {}): Promise<Scrape> {
    const response = await fetch(url, { headers });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    return new Scrape(await response.text());
  }

  /** The samples of this name with these labels, added up; undefined where there is none. */
  value(name: string, labels: Record<string, string> = {}): number | undefined {
    const found = this.samples.filter(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }

  /** Every series by its name and labels. */
  get series(): string[] {
    return this.samples.map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`).sort();
  }
}
