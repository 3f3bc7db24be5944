import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface Service {
  build?: string;
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
}

// There is no container engine where the tests run: what can be read from the files is held to here.
describe('the image', () => {
  const lines = readFileSync('Dockerfile', 'utf8').split('\n');
  const instructions = (name: string): string[] =>
    lines.filter((line) => line.trimStart().startsWith(`${name} `)).map((line) => line.trim().slice(name.length + 1));

  it('is made of an exact version', () => {
    const bases = instructions('FROM').map((from) => from.split(' ')[0]);
    expect(bases.length).toBeGreaterThan(1);
    expect(new Set(bases)).toEqual(new Set([expect.stringMatching(/^node:\d+\.\d+\.\d+-[a-z]+-slim$/)]));
  });

  it('runs as a user with a number who is not root, and needs no shell', () => {
    expect(instructions('USER')).toEqual([expect.stringMatching(/^[1-9]\d*:[1-9]\d*$/)]);
    const commands = instructions('CMD');
    expect(commands).toHaveLength(2);
    for (const command of commands) expect((JSON.parse(command) as string[])[0]).toBe('node');
    expect(readFileSync('Dockerfile', 'utf8')).toMatch(/\nHEALTHCHECK .*\\\n +CMD \["node", "-e"/);
  });

  it('runs on a read-only file system without capabilities', () => {
    const { services } = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
      services: Record<string, Service>;
    };
    const own = Object.values(services).filter(({ build }) => build !== undefined);
    expect(own.length).toBeGreaterThanOrEqual(3);
    for (const service of own) {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
    }
  });
});
