import { ConfigurationError, ToolInputError } from '../errors.ts'
import type { DiagnosticCode } from '../events.ts'
import { isPlainObject, type JsonObject } from '../json.ts'
import { Scrubber } from '../scrubber.ts'
import { collectSecrets, type SecretEntry } from '../secret.ts'
import type { ToolSchemas } from './define.ts'
import { isTooDeep, type KnownKeys, type Validation, withoutHostileKeys } from './json-schema.ts'
import type { CompiledSchema } from './schema.ts'
import type { Tool } from './tool.ts'
import {
  type Config,
  type ConfigScope,
  configIssues,
  type OpenToolConfig,
  refuseVisibleSecrets,
  type ToolSet,
  toolSetAccess,
  withParsed,
} from './toolset.ts'

/** A tool as a registry knows it: together with the set whose config it gets. */
export interface RegisteredTool {
  /** As it was when the tool was registered. */
  readonly name: string
  readonly tool: Tool
  readonly schemas: ToolSchemas
  readonly toolset?: ToolSet
}

export interface InputScope extends ConfigScope {
  /** Stops the call. Nothing is left listening on it afterwards. */
  readonly signal: AbortSignal
  /** Everything said about a call passes `scrubber`; what a config reveals is added before anything is said. */
  readonly secrets: { add(entries: readonly SecretEntry[]): void; readonly scrubber: Scrubber }
  onDiagnostic(code: DiagnosticCode, message: string): void
}

/** What `execute` is given. */
export interface ToolInput {
  readonly input: unknown
  readonly config: Config
}

/**
 * What one call gives its tool: what the model sent and the tool's parameters allow, and the hidden config. The model
 * may set a config key only where the visible parameters declare it; every other name it invents is dropped.
 *
 * @throws ToolInputError, or rejects with it, naming the fields that do not fit; ConfigurationError for a config that fails.
 */
export function buildInput(
  registered: RegisteredTool,
  parameters: JsonObject,
  scope: InputScope,
): ToolInput | Promise<ToolInput> {
  const { schemas, toolset } = registered
  const visible = schemas.parameters.keys()
  const isPlain = !toolset && !schemas.config && !(visible instanceof Promise)
  return isPlain
    ? checkedInput(registered, parameters, { visible, config: {}, hidden: new Set() }, scope)
    : openedInput(registered, parameters, scope)
}

async function openedInput(
  registered: RegisteredTool,
  parameters: JsonObject,
  scope: InputScope,
): Promise<ToolInput> {
  const { name, schemas, toolset } = registered
  const opened = toolset ? await toolSetAccess(toolset).open(scope) : noConfig
  scope.secrets.add(opened.secrets)
  const visible = await schemas.parameters.keys()
  refuseVisibleSecrets(name, visible.names, opened.sealedKeys)
  const config = await toolConfig(registered, opened)
  // Also what its schema filled in or made of it.
  if (config !== opened.config) scope.secrets.add(collectSecrets(config))
  const hidden = await hiddenNames(config, [schemas.config, opened.schema])
  // Whoever asked may have stopped waiting.
  scope.signal.throwIfAborted()
  return checkedInput(registered, parameters, { visible, config, hidden }, scope)
}

/** What of a tool's input is known before its parameters are looked at. */
interface Known {
  readonly visible: KnownKeys
  readonly config: Config
  readonly hidden: ReadonlySet<string>
}

function checkedInput(
  { name, schemas }: RegisteredTool,
  parameters: JsonObject,
  { visible, config, hidden }: Known,
  scope: InputScope,
): ToolInput | Promise<ToolInput> {
  if (isTooDeep(parameters)) throw unfit(name, ['parameters: nested too deeply'])
  const clean = withoutHostileKeys(parameters)
  const isVisible = ([key]: [string, unknown]) => visible.names.has(key)
  // Its defaults first, what the model sent over them.
  const sent = Object.entries(config).filter((entry) => isVisible(entry) && entry[1] !== undefined)
  const unknown = Object.keys(parameters).filter((key) => !Object.hasOwn(clean, key))
  const rejected: string[] = []
  for (const key of Object.keys(clean)) {
    if (visible.names.has(key)) sent.push([key, clean[key]])
    else if (hidden.has(key)) rejected.push(key)
    else if (visible.isOpen) sent.push([key, clean[key]])
    else unknown.push(key)
  }
  tellDropped(name, rejected, unknown, scope)

  const read = (checked: Validation): ToolInput => {
    if (!checked.ok) throw unfit(name, checked.issues)
    const fixed = Object.entries(config).filter((entry) => !isVisible(entry))
    return { input: withFixed(checked.value, fixed), config: Object.freeze({ ...config }) }
  }
  const validated = schemas.parameters.validate(Object.fromEntries(sent), scope.secrets.scrubber)
  return validated instanceof Promise ? validated.then(read) : read(validated)
}

const noConfig: OpenToolConfig = { config: {}, secrets: [], sealedKeys: [] }

async function toolConfig({ name, schemas }: RegisteredTool, opened: OpenToolConfig): Promise<Config> {
  const checked = await schemas.config?.validate(opened.config, new Scrubber(opened.secrets))
  if (checked === undefined) return opened.config
  if (checked.ok) return withParsed(opened.config, checked.value)
  throw new ConfigurationError(
    'config',
    `The config of tool "${name}" does not fit: ${configIssues(checked.issues)}.`,
  )
}

/** Also what a config schema declares and this config leaves out: the model must not fill that gap. */
async function hiddenNames(
  config: Config,
  schemas: readonly (CompiledSchema | undefined)[],
): Promise<Set<string>> {
  const names = new Set(Object.keys(config))
  for (const schema of schemas) {
    try {
      for (const name of (await schema?.keys())?.names ?? []) names.add(name)
    } catch {
      // It validates, and has no JSON form to read names from.
    }
  }
  return names
}

function tellDropped(
  toolName: string,
  rejected: readonly string[],
  unknown: readonly string[],
  { secrets, onDiagnostic }: InputScope,
): void {
  const tell = (code: DiagnosticCode, keys: readonly string[], why: string) => {
    if (keys.length === 0) return
    const message = `The model sent ${keysText(keys)} to tool "${toolName}"; dropped, because ${why}.`
    onDiagnostic(code, secrets.scrubber.text(message))
  }
  tell('hidden_parameter_rejected', rejected, 'hidden config is not for the model to set')
  tell('unknown_parameter_dropped', unknown, 'its parameters do not have that')
}

function keysText(keys: readonly string[]): string {
  const shown = keys.slice(0, 10).map((key) => JSON.stringify(key.length > 60 ? `${key.slice(0, 59)}…` : key))
  return keys.length > 10 ? `${shown.join(', ')} and ${keys.length - 10} more` : shown.join(', ')
}

/** A value that is no plain object was made so by its schema; the config is then in `context.config` only. */
function withFixed(value: unknown, fixed: readonly [string, unknown][]): unknown {
  if (fixed.length === 0 || typeof value !== 'object' || value === null || !isPlainObject(value)) return value
  return { ...value, ...Object.fromEntries(fixed) }
}

function unfit(toolName: string, issues: readonly string[]): ToolInputError {
  return new ToolInputError(
    toolName,
    `The parameters do not fit the tool "${toolName}": ${issues.join('; ')}. Correct them and call it again.`,
  )
}
