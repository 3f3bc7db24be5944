import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { ENVIRONMENT } from './config/config.module.js';
import type { Environment } from './config/environment.js';
import { REQUEST_BODIES } from './request-bodies.js';

const DESCRIPTION = `Book conferences with limited slots. While slots are free, a booking is confirmed at once; after that people
wait in line. The moment a slot frees, the next in line gets an offer with a deadline; who does not take it goes to the end of the line.

Try it in this order: add a user, add a conference, book, look the booking up, cancel it. An offer is there to be confirmed
once somebody waits (a conference with one slot, and two users) and a slot frees. Times are ISO 8601 in UTC.`;

/** The OpenAPI document of the routes that this application has. */
export function openApiDocument(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Conference booking')
    .setDescription(DESCRIPTION)
    .setVersion('1.0')
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addServer('/', 'Where this document comes from')
    .addTag('users', 'Who books')
    .addTag('conferences', 'What can be booked')
    .addTag('bookings', 'Booking, confirming an offer, canceling')
    .addTag('health', 'For operators')
    .addBearerAuth({
      type: 'http',
      description: 'A token whose `sub` is your `user_id`. Those of organizers may do more.',
    })
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (controller, method) => `${controller.replace('Controller', '').toLowerCase()}_${method}`,
  });
  // Unknown fields of a body are refused, and the decorators have no way to say so.
  for (const { name } of REQUEST_BODIES) {
    const schema = document.components?.schemas?.[name];
    if (schema !== undefined) Object.assign(schema, { additionalProperties: false });
  }
  const operations = Object.values(document.paths).flatMap(({ get, post }) =>
    [get, post].filter((each) => each !== undefined),
  );
  // Said for each, also where it is nothing that is asked for.
  for (const operation of operations) operation.security ??= [];
  if (app.get<Environment>(ENVIRONMENT).auth.mode === 'off') {
    // Where nobody is asked for a token, nobody is refused for the lack of one.
    delete document.components?.securitySchemes;
    for (const operation of operations) {
      operation.security = [];
      delete operation.responses['401'];
      delete operation.responses['403'];
    }
  }
  return document;
}

/** Serves Swagger UI at `/docs` and the document at `/docs-json`. */
export function serveDocs(app: INestApplication): void {
  SwaggerModule.setup('docs', app, () => openApiDocument(app), {
    jsonDocumentUrl: 'docs-json',
    customSiteTitle: 'Conference booking',
    swaggerOptions: { displayRequestDuration: true, tryItOutEnabled: true },
  });
}
