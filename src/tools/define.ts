import { ConfigurationError, InvalidToolSchemaError, isTercetError, messageOf } from '../errors.ts'
import type { JsonObject, JsonSchema } from '../json.ts'
import {
  type Check,
  type Checks,
  checkMembers,
  checkOptions,
  filledText,
  flag,
  fn,
  integer,
  list,
  object,
  oneOf,
  optional,
  positiveMs,
  text,
  that,
} from '../options.ts'
import { CompiledSchema, isSchema, isStandardSchema } from './schema.ts'
import { parametersFault, schemaFault } from './schema-fault.ts'
import { type Effect, type StandardSchema, Tool, type ToolContext, type ToolRetry } from './tool.ts'

/** The members of a tool that say how it is run; each is documented at `Tool`. */
export interface ToolSettings {
  readonly name: string
  readonly description: string
  readonly effect?: Effect
  readonly timeoutMs?: number
  readonly serial?: boolean
  readonly exclusive?: boolean
  readonly repeatable?: boolean
  readonly retry?: ToolRetry
  readonly maxOutput?: number
  readonly tags?: readonly string[]
  formatOutput?(output: unknown): string
}

/** A tool whose parameters, and hidden config if it has one, are described by a schema library such as zod. */
export interface TypedToolOptions<Parameters, Config> extends ToolSettings {
  readonly parameters: StandardSchema<Parameters>
  readonly config?: StandardSchema<Config> | JsonSchema
  execute(input: Parameters & Config, context: ToolContext): unknown
}

/** A tool whose parameters are described by plain JSON Schema. */
export interface JsonToolOptions<Config> extends ToolSettings {
  readonly parameters: JsonSchema
  readonly config?: StandardSchema<Config> | JsonSchema
  execute(input: JsonObject & Config, context: ToolContext): unknown
}

/**
 * Makes a tool out of a function. The type of its input follows from `parameters` and `config`.
 *
 * @throws ConfigurationError for an option that is wrong, missing or unknown.
 * @throws InvalidToolSchemaError for parameters no model could be given.
 */
export function tool<Config = unknown>(options: JsonToolOptions<Config>): Tool<JsonObject & Config>
export function tool<Parameters, Config = unknown>(
  options: TypedToolOptions<Parameters, Config>,
): Tool<Parameters & Config>
export function tool(options: TypedToolOptions<unknown, unknown> | JsonToolOptions<unknown>): Tool {
  checkOptions('tool()', options, toolChecks)
  return new DefinedTool(options)
}

/** The two schemas of a tool, ready for use. */
export interface ToolSchemas {
  readonly parameters: CompiledSchema
  readonly config?: CompiledSchema
}

/**
 * Checks a tool that may not have been made by `tool()`, and compiles its schemas.
 *
 * @throws ConfigurationError for a member that is wrong or missing.
 * @throws InvalidToolSchemaError for parameters no model could be given.
 */
export function checkTool(candidate: unknown, path = ''): ToolSchemas {
  const defined = DefinedTool.schemasOf(candidate)
  if (defined) return defined
  checkMembers('Tool', candidate, toolChecks, path)
  return compileTool(candidate as Tool) // what the line before found out
}

/**
 * The JSON Schema a model is shown for a tool. A promise where a package has to be loaded for it.
 *
 * @throws InvalidToolSchemaError, or rejects with it; MissingPackageError as a rejection.
 */
export function parametersSchema(toolName: string, schema: CompiledSchema): JsonSchema | Promise<JsonSchema> {
  const checked = (found: JsonSchema): JsonSchema => {
    const fault = parametersFault(found)
    if (fault !== undefined) throw invalid(toolName, 'parameters', fault)
    return found
  }
  try {
    const found = schema.jsonSchema()
    return found instanceof Promise ? found.then(checked) : checked(found)
  } catch (thrown) {
    if (isTercetError(thrown) && thrown.code === 'invalid_tool_schema') throw thrown
    throw invalid(toolName, 'parameters', messageOf(thrown), thrown)
  }
}

/* @__NO_SIDE_EFFECTS__ */
function anySchema(): Check {
  return that('a schema: zod, another Standard Schema, or a JSON Schema object', isSchema)
}

const toolChecks: Checks = {
  name: that(
    '1 to 64 letters, digits, "_" or "-"',
    (name) => typeof name === 'string' && /^[\w-]{1,64}$/.test(name),
  ),
  description: text(),
  parameters: anySchema(),
  config: optional(anySchema()),
  effect: optional(oneOf('read', 'idempotent', 'once')),
  timeoutMs: optional(positiveMs()),
  serial: optional(flag()),
  exclusive: optional(flag()),
  repeatable: optional(flag()),
  retry: optional(object({ attempts: optional(integer(1, 100)), delayMs: optional(fn()) })),
  maxOutput: optional(integer(1)),
  tags: optional(list(filledText())),
  formatOutput: optional(fn()),
  execute: fn(),
}

class DefinedTool extends Tool {
  readonly name: string
  readonly description: string
  readonly parameters: Tool['parameters']
  readonly execute: Tool['execute']
  readonly #schemas: ToolSchemas

  constructor(options: TypedToolOptions<unknown, unknown> | JsonToolOptions<unknown>) {
    super()
    this.name = options.name
    this.description = options.description
    this.parameters = options.parameters
    this.execute = options.execute
    // All else is optional: what was not given is not there.
    for (const name of Object.keys(toolChecks)) {
      const value: unknown = Reflect.get(options, name)
      if (value !== undefined)
        Reflect.set(this, name, Array.isArray(value) ? Object.freeze([...value]) : value)
    }
    if (options.retry !== undefined) Reflect.set(this, 'retry', Object.freeze({ ...options.retry }))
    this.#schemas = compileTool(this)
    Object.freeze(this)
  }

  /** Not inherited by a wrapper around a tool, whose schemas may be others. */
  static schemasOf(candidate: unknown): ToolSchemas | undefined {
    return typeof candidate === 'object' && candidate !== null && #schemas in candidate
      ? candidate.#schemas
      : undefined
  }
}

function compileTool(tool: Tool): ToolSchemas {
  if (tool.retry !== undefined && (tool.effect ?? 'once') === 'once') {
    throw new ConfigurationError(
      'retry',
      `Tool "${tool.name}" has retry, but its effect is 'once': it must not run twice. Set effect: 'read' or 'idempotent', or leave retry out.`,
    )
  }
  if (!isStandardSchema(tool.parameters)) {
    const fault = parametersFault(tool.parameters)
    if (fault !== undefined) throw invalid(tool.name, 'parameters', fault)
  }
  if (tool.config !== undefined && !isStandardSchema(tool.config)) {
    const fault = schemaFault(tool.config)
    if (fault !== undefined) throw invalid(tool.name, 'config', fault)
  }
  const parameters = new CompiledSchema(tool.parameters)
  const schema = parametersSchema(tool.name, parameters)
  // Told again, and to someone, when the definition is first needed.
  if (schema instanceof Promise) schema.catch(() => {})
  return { parameters, ...(tool.config !== undefined && { config: new CompiledSchema(tool.config) }) }
}

function invalid(toolName: string, member: string, fault: string, cause?: unknown): InvalidToolSchemaError {
  const message = `The ${member} of tool "${toolName}" are no usable schema: ${fault}.`
  return new InvalidToolSchemaError(
    toolName,
    member === 'config' ? message.replace(' are ', ' is ') : message,
    cause === undefined ? undefined : { cause },
  )
}
