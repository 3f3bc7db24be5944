import { type ArgumentMetadata, Logger, type Type, ValidationPipe, type ValidationPipeOptions } from '@nestjs/common';
import { TransformationType } from 'class-transformer';
import { defaultMetadataStorage as transformations } from 'class-transformer/cjs/storage.js';
import { getMetadataStorage, ValidationTypes } from 'class-validator';

type Rule = (dto: object, value: unknown) => boolean;

/** What the decorators of a field say: its checks count where all its conditions hold. */
interface Field {
  conditions: Rule[];
  checks: Rule[];
}

/** The DTO that a body is, or null for a body that is not surely valid. */
type Reader = (body: unknown) => object | null;

/**
 * Nest's ValidationPipe, for DTOs whose unknown fields are refused, with a short way for bodies that are valid: their DTO's
 * decorators are looked up once and not for each request. All others go the long way, so that there is one place only
 * that says what is wrong. A DTO with decorators that are not understood here always goes the long way, and is logged.
 */
export class CompiledValidationPipe extends ValidationPipe {
  private readonly logger = new Logger(CompiledValidationPipe.name);
  private readonly readers = new Map<Type, Reader>();

  constructor(options: Pick<ValidationPipeOptions, 'stopAtFirstError' | 'exceptionFactory'>) {
    super({ ...options, transform: true, whitelist: true, forbidNonWhitelisted: true });
  }

  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    const dto = metadata.type === 'body' ? metadata.metatype : undefined;
    const instance = dto === undefined ? null : this.readerOf(dto)(value);
    return instance ?? ((await super.transform(value, metadata)) as unknown);
  }

  private readerOf(dto: Type): Reader {
    const known = this.readers.get(dto);
    if (known !== undefined) return known;
    const compiled = compile(dto);
    if (compiled === null) this.logger.log(`${dto.name} has decorators that are not compiled: it takes the long way`);
    const reader = compiled ?? (() => null);
    this.readers.set(dto, reader);
    return reader;
  }
}

/** Null where the class has decorators that this does not know, or none. */
export function compile(dto: Type): Reader | null {
  const fields = fieldsOf(dto);
  if (fields === null || fields.size === 0 || isTransformed(dto, [...fields.keys()])) return null;
  return (body) => {
    if (!isPlainObject(body)) return null;
    const instance = new dto() as Record<string, unknown>;
    for (const [name, value] of Object.entries(body)) {
      if (!fields.has(name)) return null;
      if (isScalar(value)) instance[name] = value;
      else if (Array.isArray(value) && value.every(isScalar)) instance[name] = [...(value as unknown[])];
      else return null;
    }
    for (const [name, { conditions, checks }] of fields) {
      const holds = (rule: Rule): boolean => rule(instance, instance[name]);
      if (conditions.every(holds) && !checks.every(holds)) return null;
    }
    return instance;
  };
}

function fieldsOf(dto: Type): Map<string, Field> | null {
  const fields = new Map<string, Field>();
  const storage = getMetadataStorage();
  for (const decorator of storage.getTargetValidationMetadatas(dto, '', false, false)) {
    const { type, propertyName, constraints, constraintCls, each } = decorator;
    const field = fields.get(propertyName) ?? { conditions: [], checks: [] };
    fields.set(propertyName, field);
    if (type === ValidationTypes.CONDITIONAL_VALIDATION) field.conditions.push(constraints[0] as Rule);
    else if (type === ValidationTypes.CUSTOM_VALIDATION) {
      // Its own condition is left out: at worst a valid body goes the long way.
      for (const { instance } of storage.getTargetValidatorConstraints(constraintCls)) {
        // Whoever answers with a promise has not said that it is valid.
        const check: Rule = (object, value) =>
          instance.validate(value, { targetName: dto.name, property: propertyName, object, value, constraints }) ===
          true;
        field.checks.push(each ? (object, value) => [value].flat().every((item) => check(object, item)) : check);
      }
    } else return null;
  }
  return fields;
}

function isTransformed(dto: Type, fields: string[]): boolean {
  return (
    transformations.getStrategy(dto) !== 'none' ||
    transformations.getExposedMetadatas(dto).length > 0 ||
    transformations.getExcludedMetadatas(dto).length > 0 ||
    fields.some(
      (field) =>
        field in (dto.prototype as object) ||
        // Its types say that there always is one.
        Boolean(transformations.findTypeMetadata(dto, field)) ||
        transformations.findTransformMetadatas(dto, field, TransformationType.PLAIN_TO_CLASS).length > 0,
    )
  );
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
