import { ConfigurationError, shown } from '../errors.ts'
import { type Checks, checkOptions, integer, oneOf, optional, positiveMs } from '../options.ts'
import type { AgentOptions, RunLimits } from './options.ts'

/** The options of an agent that are plain values, and so may stand in a file or in the environment. */
export type AgentConfig = Pick<
  AgentOptions,
  | keyof RunLimits
  | 'protocol'
  | 'planning'
  | 'concurrency'
  | 'toolConcurrency'
  | 'maxToolOutput'
  | 'maxConsecutiveToolErrors'
  | 'repairAttempts'
  | 'outputRepairAttempts'
  | 'contextWindow'
  | 'maxOutputTokens'
>

export type ConfigLayer = 'defaults' | 'file' | 'env' | 'call'

export interface ConfigLayers {
  readonly defaults?: AgentConfig
  /** What a configuration file holds, parsed. */
  readonly file?: unknown
  /** Environment variables such as `MAX_ITERATIONS`; `process.env` is only read if it is given here. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What stands before each variable's name, such as `'TERCET_'`. Default: nothing. */
  readonly prefix?: string
  readonly call?: AgentConfig
}

export interface ResolvedConfig {
  readonly values: AgentConfig
  /** The layer each value came from. */
  readonly sources: { readonly [Option in keyof AgentConfig]?: ConfigLayer }
}

/**
 * Puts layers of configuration on top of one another, option by option: defaults, file, environment, call. Pure.
 *
 * @throws ConfigurationError naming the option or variable that is wrong.
 */
export function resolveConfig(layers: ConfigLayers): ResolvedConfig {
  const { defaults = {}, file = {}, env = {}, prefix = '', call = {} } = layers
  const read: [ConfigLayer, AgentConfig][] = [
    ['defaults', checked('defaults', defaults)],
    ['file', checked('file', file)],
    ['env', fromEnv(env, prefix)],
    ['call', checked('call', call)],
  ]
  const values: Record<string, unknown> = {}
  const sources: Record<string, ConfigLayer> = {}
  for (const [layer, config] of read) {
    for (const [option, value] of Object.entries(config)) {
      if (value === undefined) continue
      values[option] = value
      sources[option] = layer
    }
  }
  return { values, sources }
}

/**
 * The options of an agent from a file's content and the environment, to be spread: `new Agent({ ...loadConfig({ env:
 * process.env }), client })`. Nothing is read that is not handed in.
 *
 * @throws ConfigurationError naming the option or variable that is wrong.
 */
export function loadConfig(layers: Omit<ConfigLayers, 'call'>): AgentConfig {
  return resolveConfig(layers).values
}

// A function: a bundler keeps what is called when a module is loaded, also for those who never use it.
const configChecks = (): Checks => ({
  maxIterations: optional(integer(1, 1000)),
  maxToolRounds: optional(integer(0, 1000)),
  timeoutMs: optional(positiveMs()),
  onLimit: optional(oneOf('throw', 'land', 'stop')),
  protocol: optional(oneOf('auto', 'native', 'json')),
  planning: optional(oneOf('auto', 'required', 'off')),
  concurrency: optional(oneOf('queue', 'reject')),
  toolConcurrency: optional(integer(1, 1000)),
  maxToolOutput: optional(integer(1)),
  maxConsecutiveToolErrors: optional(integer(1, 1000)),
  repairAttempts: optional(integer(0, 100)),
  outputRepairAttempts: optional(integer(0, 100)),
  contextWindow: optional(integer(1)),
  maxOutputTokens: optional(integer(1)),
})

function checked(layer: string, config: unknown): AgentConfig {
  checkOptions(`Configuration (${layer})`, config, configChecks())
  return config as AgentConfig // every member was checked
}

function fromEnv(env: Readonly<Record<string, string | undefined>>, prefix: string): AgentConfig {
  const values: Record<string, unknown> = {}
  for (const [option, check] of Object.entries(configChecks())) {
    const variable = prefix + option.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
    const text = env[variable]
    if (text === undefined || text === '') continue
    const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
    const fault = check.find(value, option)
    if (fault) {
      throw new ConfigurationError(variable, `The variable ${variable} ${fault.says}, got ${shown(text)}.`, {
        value: text,
      })
    }
    values[option] = value
  }
  return values
}
