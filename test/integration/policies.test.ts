import 'reflect-metadata';
import { METHOD_METADATA } from '@nestjs/common/constants.js';
import { ModulesContainer } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { policyOf } from '../../src/access/access.js';
import { createApplication } from '../../src/application.js';
import { parseEnvironment } from '../../src/config/environment.js';

describe('the routes', () => {
  let app: NestFastifyApplication;

  beforeAll(async () => {
    app = await createApplication(parseEnvironment({ DATABASE_URL: 'postgres://nowhere/none' }), false);
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
});
