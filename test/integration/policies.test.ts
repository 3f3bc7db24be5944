import 'reflect-metadata';
import { METHOD_METADATA } from '@nestjs/common/constants.js';
import { ModulesContainer } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { policyOf } from '../../src/access/access.js';
import { createApplication } from '../../src/application.js';
import { openApiDocument } from '../../src/openapi.js';
import { parseEnvironment } from '../../src/config/environment.js';

describe('the routes', () => {
  let app: NestFastifyApplication;

  beforeAll(async () => {
    app = await createApplication(parseEnvironment({ DATABASE_URL: 'postgres://nowhere/none' }), false);
    await app.init();
  });
  afterAll(() => app.close());

  it('declare who they are for, each of them', () => {
    const controllers = [...app.get(ModulesContainer).values()].flatMap((module) => [...module.controllers.values()]);
    const routes = controllers.flatMap(({ metatype }) => {
      const prototype = (metatype?.prototype ?? {}) as Record<string, object>;
      return Object.getOwnPropertyNames(prototype)
        .filter((name) => Reflect.hasMetadata(METHOD_METADATA, prototype[name] ?? {}))
        .map((name) => [`${metatype?.name ?? ''}.${name}`, policyOf(prototype[name] ?? {})] as const);
    });
    expect(routes.length).toBeGreaterThanOrEqual(13);
    expect(routes.filter(([, policy]) => policy === undefined)).toEqual([]);
  });

  it('are those of the API document, all of them and no others', () => {
    const documented = Object.entries(openApiDocument(app).paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
    );
    // Swagger UI and the document itself are for people.
    const served = [...routesOf(app)].filter((route) => !/^[A-Z]+ \/docs(\/|-json$|-yaml$|$)/.test(route));
    expect(served.sort()).toEqual(documented.sort());
  });
});

/** Every route that Fastify has, as in `GET /booking/:booking_id`; HEAD comes with GET. */
function routesOf(app: NestFastifyApplication): Set<string> {
  const routes = new Set<string>();
  const folders: string[] = [];
  for (const line of app.getHttpAdapter().getInstance().printRoutes({ commonPrefix: false }).split('\n')) {
    const [, indent = '', path = '', methods = ''] = /^([│ ]*)[├└]── (\S*?)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? [];
    if (path === '') continue;
    const depth = indent.length / 4;
    folders.length = depth;
    folders.push(path);
    for (const method of methods.split(', ')) {
      if (method !== '' && method !== 'HEAD') routes.add(`${method} ${folders.join('')}`);
    }
  }
  return routes;
}
