import { ConfigurationError, DuplicateToolError, messageOf, shown } from '../errors.ts'
import { isPlainObject } from '../json.ts'
import { checkOptions, either, filledText, fn, hidden, list, optional, text, that } from '../options.ts'
import { Scrubber } from '../scrubber.ts'
import { isSecret, type OpenedConfig, openConfig, type SecretEntry } from '../secret.ts'
import { checkTool, type ToolSchemas } from './define.ts'
import { CompiledSchema, isSchema } from './schema.ts'
import type { Schema, Tool } from './tool.ts'

export type Config = Readonly<Record<string, unknown>>

/** What a config that is a function is given: which run asks. */
export interface ConfigScope {
  readonly runId: string
  readonly conversationId: string
  /** The `context` of the run's options. */
  readonly context: unknown
}

/** A hidden config, or a function that is asked for it at each call of a tool. */
export type ConfigSource = Config | ((scope: ConfigScope) => object | Promise<object>)

export interface ToolSetOptions {
  readonly name: string
  /** Tells the model what the tools have in common. */
  readonly description: string
  readonly tools: readonly Tool[]
  /**
   * What every tool of the set gets and the model never sees. A key that a tool's visible parameters declare is only a
   * default there, which the model may override; a `secret()` cannot be that. Read anew at each call. Default: `{}`.
   */
  readonly config?: ConfigSource
  /** What `config` has to be. Its defaults are filled in. */
  readonly configSchema?: Schema
}

// Registered, so that a set made by another copy of this package is one too.
const access: unique symbol = Symbol.for('tercet.toolset')

/** Tools that belong together and share a hidden config. */
export class ToolSet {
  readonly name: string
  readonly description: string
  readonly tools: readonly Tool[]
  #config: ConfigSource
  readonly #configSchema: CompiledSchema | undefined
  readonly #schemas = new Map<Tool, ToolSchemas>()
  /** For the registry and the executor alone. */
  declare readonly [access]: ToolSetAccess

  /**
   * @throws ConfigurationError for a wrong option, a config that does not fit `configSchema` or the `config` of a tool,
   * and a `secret()` that a tool's parameters show to the model. A function is checked when it is first asked.
   * @throws DuplicateToolError, InvalidToolSchemaError.
   */
  constructor(options: ToolSetOptions) {
    checkOptions('ToolSet', options, {
      name: filledText(),
      description: text(),
      tools: list(that('a tool', (value) => typeof value === 'object' && value !== null)),
      config: optional(anyConfig()),
      configSchema: optional(that('a schema', isSchema)),
    })
    const { name, description, tools, config = {}, configSchema } = options
    const names = new Set<string>()
    for (const [index, tool] of tools.entries()) {
      this.#schemas.set(tool, checkTool(tool, `tools[${index}]`))
      if (names.has(tool.name)) throw new DuplicateToolError(tool.name)
      names.add(tool.name)
    }
    this.name = name
    this.description = description
    this.tools = Object.freeze([...tools])
    this.#configSchema = configSchema && new CompiledSchema(configSchema)
    this.#check(config)
    this.#config = config
    // Defined here: a class with such a member is kept by bundlers, also for those who have no sets.
    const given: ToolSetAccess = {
      schemasOf: (tool) => this.#schemas.get(tool),
      static: () => openConfig(typeof this.#config === 'function' ? {} : this.#config),
      open: (scope) => this.#open(scope),
    }
    Object.defineProperty(this, access, { value: given })
    Object.freeze(this)
  }

  /**
   * Replaces the config, from the next call of a tool on.
   *
   * @throws ConfigurationError as the constructor does; the config then stays what it was.
   */
  updateConfig(next: ConfigSource): void {
    checkOptions('ToolSet', { config: next }, { config: anyConfig() })
    this.#check(next)
    this.#config = next
  }

  toJSON(): { name: string; description: string; tools: string[] } {
    return { name: this.name, description: this.description, tools: this.tools.map(({ name }) => name) }
  }

  async #open(scope: ConfigScope): Promise<OpenToolConfig> {
    const source = this.#config
    const config: unknown = typeof source === 'function' ? await this.#ask(source, scope) : source
    if (!isBag(config)) {
      throw new ConfigurationError(
        'config',
        `The config of tool set "${this.name}" must be an object, got ${kindOf(config)}.`,
      )
    }
    const opened = this.#read(config)
    const checked = await this.#configSchema?.validate(opened.config, new Scrubber(opened.secrets))
    if (checked && !checked.ok) throw this.#unfit('its configSchema', checked.issues)
    const parsed = withParsed(opened.config, checked?.value)
    return {
      config: parsed,
      secrets: [...opened.secrets, ...openConfig(parsed).secrets],
      sealedKeys: opened.sealedKeys,
      ...(this.#configSchema && { schema: this.#configSchema }),
    }
  }

  async #ask(source: (scope: ConfigScope) => object | Promise<object>, scope: ConfigScope): Promise<unknown> {
    const { runId, conversationId, context } = scope
    try {
      return await source({ runId, conversationId, context })
    } catch (thrown) {
      throw new ConfigurationError(
        'config',
        `The config of tool set "${this.name}" is not available: ${messageOf(thrown)}`,
      )
    }
  }

  #check(config: ConfigSource): void {
    if (typeof config === 'function') return
    const opened = this.#read(config)
    const fitted = (schema: CompiledSchema | undefined, value: Config, whose: string): Config => {
      const checked = schema?.validate(value, new Scrubber(opened.secrets))
      // A schema that takes its time is asked again when a tool is called.
      if (checked === undefined || checked instanceof Promise) return value
      if (!checked.ok) throw this.#unfit(whose, checked.issues)
      return withParsed(value, checked.value)
    }
    const value = fitted(this.#configSchema, opened.config, 'its configSchema')
    for (const tool of this.tools) {
      const schemas = this.#schemas.get(tool)
      fitted(schemas?.config, value, `the config of tool "${tool.name}"`)
      const keys = schemas?.parameters.keys()
      if (keys === undefined) continue
      if (keys instanceof Promise)
        keys.catch(() => {}) // told by whoever needs them
      else refuseVisibleSecrets(tool.name, keys.names, opened.sealedKeys)
    }
  }

  #read(config: Config): OpenedConfig & { config: Config } {
    const opened = openConfig(config)
    if (opened.failures.length > 0) {
      const said = new Scrubber(opened.secrets).text(messageOf(opened.failures[0]))
      throw new ConfigurationError('config', `The config of tool set "${this.name}" cannot be read: ${said}`)
    }
    return opened as OpenedConfig & { config: Config } // the same shape, and it was a bag
  }

  #unfit(whose: string, issues: readonly string[]): ConfigurationError {
    return new ConfigurationError(
      'config',
      `The config of tool set "${this.name}" does not fit ${whose}: ${configIssues(issues)}.`,
    )
  }
}

/** A config as one call of a tool gets it. */
export interface OpenToolConfig {
  /** Secrets revealed. */
  readonly config: Config
  readonly secrets: readonly SecretEntry[]
  /** The keys that hold a `secret()`. */
  readonly sealedKeys: readonly string[]
  /** The set's `configSchema`, which may declare more keys than the config has. */
  readonly schema?: CompiledSchema
}

interface ToolSetAccess {
  schemasOf(tool: Tool): ToolSchemas | undefined
  /** The config as it is now; an empty one if it is a function. */
  static(): OpenedConfig
  /** @throws ConfigurationError (as a rejection), its message scrubbed. */
  open(scope: ConfigScope): Promise<OpenToolConfig>
}

/** What only the registry and the executor may do with a set. */
export function toolSetAccess(set: ToolSet): ToolSetAccess {
  return set[access]
}

/** True for what `new ToolSet` made, also in another copy of this package. */
export function isToolSet(value: unknown): value is ToolSet {
  return typeof value === 'object' && value !== null && access in value
}

/** @throws ConfigurationError if the model would be shown, and could replace, what must be hidden from it. */
export function refuseVisibleSecrets(
  toolName: string,
  visible: ReadonlySet<string>,
  sealed: readonly string[],
): void {
  const key = sealed.find((name) => visible.has(name))
  if (key === undefined) return
  throw new ConfigurationError(
    `config.${key}`,
    `The config key "${key}" holds a secret(), but the parameters of tool "${toolName}" show it to the model. ` +
      'Take it out of the parameters, or rename one of them.',
  )
}

/** `config` with what its schema made of it: parsed values and defaults. */
export function withParsed(config: Config, parsed: unknown): Config {
  return isBag(parsed) && isPlainObject(parsed) ? { ...config, ...parsed } : config
}

/** Issues with a config, where those of the whole name no parameters. */
export function configIssues(issues: readonly string[]): string {
  return issues.map((issue) => issue.replace(/^parameters: /, '')).join('; ')
}

function anyConfig() {
  return hidden(either(that('an object', isBag), fn()))
}

function isBag(value: unknown): value is Config {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isSecret(value)
}

// Never the value: whatever was given instead of a config may be a credential.
function kindOf(value: unknown): string {
  return typeof value === 'object' || value === undefined ? shown(value) : `a ${typeof value}`
}
