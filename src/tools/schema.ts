import { ConfigurationError, MissingPackageError, messageOf } from '../errors.ts'
import { isJsonObject, isPlainObject, type JsonSchema } from '../json.ts'
import { Scrubber } from '../scrubber.ts'
import { limited, pathText } from './issue-text.ts'
import { type KnownKeys, knownKeys, type Validation } from './json-schema.ts'
import type { Schema, SchemaIssue, SchemaResult, StandardSchema } from './tool.ts'

/**
 * The JSON Schema a model is shown for `schema`, frozen and without `$schema`. A promise only where a package has to be
 * loaded for it: for zod 3 and early zod 4.
 *
 * @throws ConfigurationError, or rejects with it, for a schema library that has no JSON Schema.
 * @throws MissingPackageError (as a rejection) if the package that converts it is not installed.
 */
export function jsonSchemaOf(schema: Schema): JsonSchema | Promise<JsonSchema> {
  if (!isStandardSchema(schema)) return plainSchema(schema)
  const converted = convert(schema)
  return converted instanceof Promise ? converted.then(plainSchema) : plainSchema(converted)
}

/**
 * Whether `value` fits, and what it then becomes: parsed, with defaults filled in. Never throws and never rejects: a
 * validator that does is an issue.
 */
export function validate(schema: Schema, value: unknown): Validation | Promise<Validation> {
  return new CompiledSchema(schema).validate(value)
}

/** The names that an object of this schema lists at its top. */
export function visibleKeys(schema: JsonSchema): string[] {
  return [...knownKeys(schema, schema).names]
}

/** A schema with all that is derived from it, each derived once, when it is first asked for. */
export class CompiledSchema {
  readonly source: Schema
  #jsonSchema: JsonSchema | Promise<JsonSchema> | undefined
  #keys: KnownKeys | undefined
  #validate: ((value: unknown) => Validation | Promise<Validation>) | undefined

  constructor(source: Schema) {
    this.source = source
  }

  /** As `jsonSchemaOf`. */
  jsonSchema(): JsonSchema | Promise<JsonSchema> {
    const keep = (schema: JsonSchema | undefined) => {
      this.#jsonSchema = schema
    }
    if (this.#jsonSchema === undefined) {
      const schema = jsonSchemaOf(this.source)
      this.#jsonSchema = schema
      // Known at once from then on; a failure is tried again, for the package may have been installed.
      if (schema instanceof Promise) schema.then(keep, () => keep(undefined))
    }
    return this.#jsonSchema
  }

  /** What an object of this schema may have at its top. @throws and rejects as `jsonSchemaOf`. */
  keys(): KnownKeys | Promise<KnownKeys> {
    if (this.#keys !== undefined) return this.#keys
    const keep = (schema: JsonSchema): KnownKeys => {
      this.#keys = knownKeys(schema, schema)
      return this.#keys
    }
    const schema = this.jsonSchema()
    return schema instanceof Promise ? schema.then(keep) : keep(schema)
  }

  /** As `validate`. What `scrubber` knows is in no issue. */
  validate(value: unknown, scrubber = Scrubber.none): Validation | Promise<Validation> {
    const told = (result: Validation): Validation =>
      result.ok ? result : { ok: false, issues: limited(result.issues, scrubber) }
    const failed = (thrown: unknown): Validation =>
      told({ ok: false, issues: [`parameters: the validator failed: ${messageOf(thrown)}`] })
    try {
      this.#validate ??= isStandardSchema(this.source)
        ? standardValidator(this.source)
        : jsonValidator(this.jsonSchema())
      const result = this.#validate(value)
      return result instanceof Promise ? result.then(told).catch(failed) : told(result)
    } catch (thrown) {
      return failed(thrown)
    }
  }
}

/** True for what any library that follows https://standardschema.dev made; some of them make functions. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard = (value as Partial<StandardSchema>)['~standard'] // only looked at
  return typeof standard === 'object' && standard !== null && typeof standard.validate === 'function'
}

/** True for what can be a `Schema` at all; whether a JSON Schema makes sense is another question. */
export function isSchema(value: unknown): value is Schema {
  return isStandardSchema(value) || (isJsonObject(value) && isPlainObject(value))
}

/** What beside the standard's own members is looked at, to find the converter that a schema needs. */
interface Convertible {
  readonly '~standard': {
    readonly vendor?: unknown
    /** https://standardschema.dev/json-schema, read 2026-11. */
    readonly jsonSchema?: { input?(options: { target: string; libraryOptions?: object }): unknown }
  }
  /** zod 3: its private description, which names the kind of schema. */
  readonly _def?: { readonly typeName?: unknown }
  /** zod 4. */
  readonly _zod?: unknown
}

function convert(schema: StandardSchema): unknown {
  const { '~standard': standard, _def, _zod } = schema as Convertible // any value has these or not
  const isZod = standard.vendor === 'zod'
  // What has no JSON form, such as a date, is shown as "anything" and checked when it comes.
  const forZod = { unrepresentable: 'any' }
  if (typeof standard.jsonSchema?.input === 'function') {
    try {
      return standard.jsonSchema.input({ target: 'draft-07', ...(isZod && { libraryOptions: forZod }) })
    } catch (thrown) {
      throw notConvertible(standard.vendor, messageOf(thrown))
    }
  }
  if (isZod && typeof _def?.typeName === 'string') return convertZod3(schema)
  if (isZod && _zod !== undefined) return convertZod4(schema, forZod)
  throw notConvertible(standard.vendor, 'it has no ~standard.jsonSchema')
}

async function convertZod4(schema: StandardSchema, options: object): Promise<unknown> {
  const { z } = await import('zod').catch((cause: unknown) => {
    throw new MissingPackageError('zod', { cause })
  })
  // It is a zod 4 schema: it has `_zod`.
  return z.toJSONSchema(schema as never, { ...options, io: 'input', target: 'draft-7' })
}

async function convertZod3(schema: StandardSchema): Promise<unknown> {
  const { zodToJsonSchema } = await import('zod-to-json-schema').catch((cause: unknown) => {
    throw new MissingPackageError('zod-to-json-schema', { cause })
  })
  // It is a zod 3 schema: it has a type name.
  return zodToJsonSchema(schema as never, { target: 'jsonSchema7', $refStrategy: 'none' })
}

function notConvertible(vendor: unknown, reason: string): ConfigurationError {
  return new ConfigurationError(
    'schema',
    `This ${String(vendor)} schema cannot be turned into JSON Schema: ${reason}. Give it as plain JSON Schema instead.`,
  )
}

/** A frozen copy, so that what is sent stays what it was. */
function plainSchema(schema: unknown): JsonSchema {
  const copy: unknown = JSON.parse(JSON.stringify(schema) ?? 'null')
  if (!isJsonObject(copy))
    throw new ConfigurationError('schema', 'The schema has no JSON form that is an object.')
  const { $schema: _, ...rest } = copy
  return deepFrozen(rest)
}

function deepFrozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) deepFrozen(member)
    Object.freeze(value)
  }
  return value
}

function standardValidator(schema: StandardSchema): (value: unknown) => Validation | Promise<Validation> {
  return (value) => {
    const read = (result: SchemaResult<unknown>): Validation =>
      result.issues
        ? { ok: false, issues: issueTexts(result.issues, value) }
        : { ok: true, value: result.value }
    const result = schema['~standard'].validate(value)
    // A promise of any realm and library.
    return 'then' in result ? Promise.resolve(result).then(read) : read(result)
  }
}

/** The validator of JSON Schemas is loaded when the first one is needed: most tools bring a schema that validates itself. */
function jsonValidator(schema: JsonSchema | Promise<JsonSchema>): (value: unknown) => Promise<Validation> {
  const compiled = import('./json-validator.ts').then(async ({ compileJsonSchema }) =>
    compileJsonSchema(await schema),
  )
  return async (value) => (await compiled)(value)
}

function issueTexts(issues: readonly SchemaIssue[], value: unknown): string[] {
  if (issues.length === 0) return ['parameters: not accepted']
  return issues.map(({ message, path = [] }) => {
    const segments = path.map((segment) => (typeof segment === 'object' ? segment.key : segment))
    if (segments.length === 0) return `parameters: ${message}`
    const isMissing = valueAt(value, segments) === undefined
    return `${pathText(segments)}: ${isMissing ? `required (${message})` : message}`
  })
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (found, key) =>
      typeof found === 'object' && found !== null && Object.hasOwn(found, key)
        ? Reflect.get(found, key)
        : undefined,
    value,
  )
}
