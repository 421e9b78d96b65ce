import type { JsonObject, JsonSchema, JsonValue } from '../json.ts'
import type { Message } from '../messages.ts'

/**
 * A schema any library can bring along, by https://standardschema.dev (read 2026-11): zod 3.25+ and 4, valibot, arktype
 * and others. `Output` is what a valid value becomes.
 */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** How a value is described: a Standard Schema, or plain JSON Schema. */
export type Schema<Output = unknown> = StandardSchema<Output> | JsonSchema

/**
 * What running a tool again would do. `read`: nothing, it may be repeated at will. `idempotent`: nothing more, given
 * the same `idempotencyKey`. `once`: something that must not happen twice.
 */
export type Effect = 'read' | 'idempotent' | 'once'

/** How often a failed execution is tried again within one call. Only for `read` and `idempotent` tools. */
export interface ToolRetry {
  /** Executions at most. Default 3. */
  readonly attempts?: number
  /** Wait before attempt `n` (the second is 2), in milliseconds. Default: 1 s, doubling. */
  readonly delayMs?: (n: number) => number
}

/** What `execute` gets beside its input. */
export interface ToolContext {
  /** The hidden config of the tool's ToolSet, secrets revealed. Read anew for each call. */
  readonly config: Readonly<Record<string, unknown>>
  /** Aborts when the run ends or the tool's `timeoutMs` is over. Pass it on. */
  readonly signal: AbortSignal
  readonly callId: string
  /** The same whenever this very call is executed again, also after a crash: give it to services that can tell repeats. */
  readonly idempotencyKey: string
  readonly runId: string
  readonly conversationId: string
  readonly toolName: string
  /** The `context` of the run's options. */
  readonly context: unknown
  /** Tells listeners how far the tool is; the model does not see it. After the call has ended it does nothing. */
  progress(update: JsonValue): void
  /** The agent's registry, if its `allowDynamicTools` is set: what is registered now is offered in the next iteration. */
  readonly registry?: DynamicTools
  /** The conversation the call belongs to. Absent where a tool is dispatched by hand, outside of any run. */
  readonly conversation?: ToolConversation
}

/** The conversation of a run, as far as its tools are concerned. */
export interface ToolConversation {
  /**
   * All of it so far, oldest first, also what requests no longer hold, free of secrets. The call itself is at the end: the
   * reply that makes it is the last one there, and a call of that reply without a result is answered as interrupted. Made
   * anew each time it is asked for; the messages are the same objects once their exchange is over.
   */
  history(): readonly Message[]
}

export interface DynamicTools {
  register(tool: Tool, options?: { replace?: boolean }): void
  unregister(name: string): void
  has(name: string): boolean
}

/**
 * Something a model can have done. Made by `tool({…})`, by extending this class, or as a plain object with its members.
 * Tools hold no state of a run and may be shared by agents and sets.
 */
export abstract class Tool<Input = unknown> {
  /** Letters, digits, `_` and `-`, at most 64: what every provider accepts. */
  abstract readonly name: string
  /** For the model: what the tool does and when to use it. */
  abstract readonly description: string
  /** What the model sees and fills in. An object at the top. */
  abstract readonly parameters: Schema
  /** What it does not see: the part of its ToolSet's config that the tool needs, validated at registration. */
  readonly config?: Schema
  /** Default `'once'`. */
  readonly effect?: Effect
  /**
   * Milliseconds one execution may take until its signal aborts. What it still returns within the agent's `graceMs`
   * counts: an effect that happened is not reported as a failure. Default: none but the run's.
   */
  readonly timeoutMs?: number
  /** Never runs beside another call of a tool that is `serial`. */
  readonly serial?: boolean
  /** Runs alone: other calls of the same reply are not executed, and the model is told so. */
  readonly exclusive?: boolean
  /** Meant to be called again and again with the same parameters: the no-progress guard leaves it alone. */
  readonly repeatable?: boolean
  readonly retry?: ToolRetry
  /** Code points of its output that the model is shown. Default: the agent's `maxToolOutput`. */
  readonly maxOutput?: number
  /** For finding tools in a registry. */
  readonly tags?: readonly string[]
  /** The text the model is shown for what `execute` returned. Default: text as it is, anything else as JSON. */
  formatOutput?(output: unknown): string

  /**
   * Does it. Returns text, a JSON value, a `toolResult(…)`, or `toolError(…)`; what it throws is told to the model as a
   * failure, but a `FatalToolError` ends the run.
   */
  abstract execute(input: Input, context: ToolContext): unknown
}

// Known across copies of the package; not JSON, so no data can pretend to be one.
const toolOutput = Symbol.for('tercet.tool-output')

/** What a tool may return to say more than its output. Made by `toolResult` and `toolError`. */
export interface ToolOutput {
  readonly ok: boolean
  readonly output: unknown
  /** For audits and logs; never sent to the model. */
  readonly metadata?: JsonObject
}

/** A success that says more than its output, such as `toolResult(rows, { metadata: { rows: 3 } })`. */
export function toolResult(output: unknown, options: { metadata?: JsonObject } = {}): ToolOutput {
  return make(true, output, options.metadata)
}

/** A failure the model is told about, without throwing. */
export function toolError(message: string, options: { metadata?: JsonObject } = {}): ToolOutput {
  return make(false, message, options.metadata)
}

/** True for what `toolResult` and `toolError` made: a tool's own `{ ok: false }` is just data. */
export function isToolOutput(value: unknown): value is ToolOutput {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, toolOutput)
}

function make(ok: boolean, output: unknown, metadata: JsonObject | undefined): ToolOutput {
  const made = { ok, output, ...(metadata && { metadata }) }
  Object.defineProperty(made, toolOutput, { value: true })
  return made
}
