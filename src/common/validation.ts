import type { ValidationError } from '@nestjs/common';
import { ValidateBy, type ValidationOptions } from 'class-validator';
import { AppError } from './app-error.js';
import { CompiledValidationPipe } from './compiled-validation.js';
import { parseInstant } from './instant.js';
import { isPlainText } from './text.js';

/** Checks bodies and queries by their DTOs, and refuses what they do not know by name. */
export const validationPipe = new CompiledValidationPipe({
  stopAtFirstError: true,
  exceptionFactory: toAppError,
});

export function IsPlainText(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isPlainText',
      validator: { validate: (value: unknown) => typeof value === 'string' && isPlainText(value) },
    },
    options,
  );
}

export function IsInstant(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isInstant',
      validator: { validate: (value: unknown) => typeof value === 'string' && parseInstant(value) !== null },
    },
    options,
  );
}

/** What a client is told of what class-validator has found. */
export function toAppError(errors: ValidationError[]): AppError {
  const found = errors.map(({ property, constraints = {} }) => {
    const isUnknown = 'whitelistValidation' in constraints;
    return {
      field: property,
      message: isUnknown
        ? `${property} is not a field of this request: remove it`
        : (Object.values(constraints)[0] ?? ''),
    };
  });
  const [first = { field: '', message: 'The request is not valid' }] = found;
  const message = found.length > 1 ? found.map((error) => error.message).join('; ') : first.message;
  return new AppError('invalid', 'VALIDATION_FAILED', message, { field: first.field, errors: found });
}
