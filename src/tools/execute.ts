import { isPromise, linkedController, untilAborted } from '../abort.ts'
import {
  type ErrorInfo,
  isTercetError,
  MissingPackageError,
  messageOf,
  type TercetError,
  ToolInputError,
  ToolNotFoundError,
  ToolTimeoutError,
} from '../errors.ts'
import { type JsonObject, type JsonValue, wellFormed } from '../json.ts'
import type { ToolCall, ToolResult } from '../messages.ts'
import { didYouMean } from '../options.ts'
import { type Runtime, ringAfter } from '../runtime.ts'
import { buildInput, type InputScope, type RegisteredTool, type ToolInput } from './input.ts'
import { cutText, outputJson, outputObject, outputText } from './output.ts'
import {
  type DynamicTools,
  type Effect,
  isToolOutput,
  type Tool,
  type ToolContext,
  type ToolConversation,
  type ToolOutput,
} from './tool.ts'

/** What a call is run in. */
export interface ExecutionScope extends InputScope {
  readonly runtime: Runtime
  readonly idempotencyKey: string
  /** Code points of output that the model is shown, where the tool does not say. */
  readonly maxOutput: number
  /** Milliseconds that a tool which was told to stop may take to do so. */
  readonly graceMs: number
  /** The tool gets `context.registry`. */
  readonly allowDynamicTools: boolean
  /** Handed on as `context.conversation`. */
  readonly conversation?: ToolConversation
  onProgress(update: JsonValue): void
}

export interface ToolOutcome {
  readonly result: ToolResult
  /** `abandoned`: the tool was told to stop and did not; what it does from then on is not heard. */
  readonly status: 'completed' | 'failed' | 'abandoned'
  /** The run cannot go on: a `FatalToolError` from the tool, or a package without which it can never run. Not scrubbed. */
  readonly fatal?: TercetError
}

/** Where calls find their tools: a `ToolRegistry`. */
export interface ToolSource extends DynamicTools {
  resolve(name: string): RegisteredTool | undefined
  names(): readonly string[]
}

/** One call into one result. Never rejects: whatever goes wrong is a result the model can read. */
export async function executeToolCall(
  call: ToolCall,
  tools: ToolSource,
  scope: ExecutionScope,
): Promise<ToolOutcome> {
  try {
    const startedAt = scope.runtime.now()
    const registered = tools.resolve(call.toolName)
    const ending = registered ? await perform(call, registered, tools, scope) : unknownTool(call, tools)
    const durationMs = Math.max(0, scope.runtime.now() - startedAt)
    return render(call, registered?.tool, ending, durationMs, scope)
  } catch (thrown) {
    // Not the tool's work: the clock, or a getter of the tool.
    return render(call, undefined, failed('unexpected', messageOf(thrown)), 0, scope)
  }
}

/** The result of a call that its tool would refuse as it is; `undefined` if it would be executed. */
export async function unfitResult(
  call: ToolCall,
  tools: Pick<ToolSource, 'resolve'>,
  scope: InputScope & Wording,
): Promise<ToolResult | undefined> {
  const registered = tools.resolve(call.toolName)
  if (!registered) return undefined
  try {
    // What is dropped is told when it is executed.
    await buildInput(registered, parsed(call), { ...scope, onDiagnostic: () => {} })
    return undefined
  } catch (thrown) {
    if (!isTercetError(thrown) || thrown.code !== 'tool_input') return undefined
    return render(call, registered.tool, failed(thrown.code, messageOf(thrown)), 0, scope).result
  }
}

type Wording = Pick<ExecutionScope, 'secrets' | 'maxOutput' | 'onDiagnostic'>

/** The result of a call whose outcome was found out, as if the tool had just given it. */
export function settledResult(
  call: ToolCall,
  tool: Tool | undefined,
  outcome: ToolOutput,
  wording: Wording,
): ToolResult {
  return render(call, tool, returned(outcome), 0, wording).result
}

/** How a call ended, before it is put into words for the model. */
type Ending =
  | { readonly status: 'completed'; readonly output: unknown; readonly metadata?: unknown }
  | {
      readonly status: 'failed' | 'abandoned'
      readonly error: ErrorInfo
      readonly metadata?: unknown
      readonly fatal?: TercetError
    }

const failed = (code: string, message: string) => ({ status: 'failed', error: { code, message } }) as const

const notBegun = /* @__PURE__ */ failed('aborted', 'The run was stopped before this call began.')

function unknownTool({ toolName }: ToolCall, tools: ToolSource): Ending {
  const available = tools.names()
  const meant = didYouMean(toolName, available)
  const { code, message } = new ToolNotFoundError(cutText(toolName, 64).text, available)
  return failed(code, meant === undefined ? message : `${message} Did you mean "${meant}"?`)
}

async function perform(
  call: ToolCall,
  registered: RegisteredTool,
  tools: ToolSource,
  scope: ExecutionScope,
): Promise<Ending> {
  if (scope.signal.aborted) return notBegun
  let input: ToolInput
  try {
    const building = buildInput(registered, parsed(call), scope)
    input = building instanceof Promise ? await untilAborted(building, scope.signal) : building
  } catch (thrown) {
    if (scope.signal.aborted) return notBegun
    const ending = failed(isTercetError(thrown) ? thrown.code : 'unexpected', messageOf(thrown))
    return thrown instanceof MissingPackageError ? { ...ending, fatal: thrown } : ending
  }
  return run(call, registered.tool, input, tools, scope)
}

function parsed({ toolName, parameters, invalid }: ToolCall): JsonObject {
  if (invalid === undefined) return parameters
  throw new ToolInputError(
    toolName,
    `Invalid JSON parameters: ${cutText(invalid, 500).text}. Call "${toolName}" again with one complete JSON object.`,
  )
}

/** Executes the tool, and again where it failed and says that this is safe. */
async function run(
  call: ToolCall,
  tool: Tool,
  input: ToolInput,
  tools: ToolSource,
  scope: ExecutionScope,
): Promise<Ending> {
  const effect = tool.effect ?? 'once'
  const attempts = effect === 'once' || !tool.retry ? 1 : (tool.retry.attempts ?? 3)
  let ending: Ending = notBegun
  for (let attempt = 1; !scope.signal.aborted; attempt += 1) {
    const executing = executeOnce(call, tool, input, tools, scope)
    const ended = executing instanceof Promise ? await executing : executing
    ending = endingOf(ended, effect)
    const mayRepeat = ended.how === 'stopped' || (ended.how === 'threw' && !isFatal(ended.thrown))
    if (!mayRepeat || attempt >= attempts) break
    // An abort ends the wait, and with it the loop.
    await scope.runtime.sleep(delayBefore(attempt + 1, tool), scope.signal).catch(() => {})
  }
  return ending
}

/** Before attempt `n`, in milliseconds. */
function delayBefore(n: number, { retry }: Tool): number {
  const usual = 1000 * 2 ** (n - 2)
  try {
    const delayMs = retry?.delayMs?.(n)
    return typeof delayMs === 'number' && delayMs >= 0 ? delayMs : usual
  } catch {
    return usual
  }
}

type Ended =
  | { readonly how: 'returned'; readonly value: unknown }
  | { readonly how: 'threw'; readonly thrown: unknown }
  /** It was told to stop, and why; it did, or it did not in time. */
  | { readonly how: 'stopped' | 'left behind'; readonly why: ErrorInfo }

/** One execution. Only a tool that gives a promise can be stopped. */
function executeOnce(
  call: ToolCall,
  tool: Tool,
  { input, config }: ToolInput,
  tools: ToolSource,
  scope: ExecutionScope,
): Ended | Promise<Ended> {
  let isOver = false
  let stop: Stop | undefined
  const stopOf = () => {
    stop ??= new Stop(tool, scope)
    return stop
  }
  const end = (ended: Ended): Ended => {
    isOver = true
    stop?.end()
    return ended
  }
  const context: ToolContext = {
    config,
    // Made when it is asked for: most tools are done before anything could stop them.
    get signal() {
      return stopOf().signal
    },
    callId: call.id,
    idempotencyKey: scope.idempotencyKey,
    runId: scope.runId,
    conversationId: scope.conversationId,
    toolName: call.toolName,
    context: scope.context,
    progress: (update) => {
      if (isOver) return
      scope.onProgress(scope.secrets.scrubber.value(outputJson(update)))
    },
    ...(scope.allowDynamicTools && { registry: dynamicTools(tools) }),
    ...(scope.conversation && { conversation: scope.conversation }),
  }
  const threwIt = (thrown: unknown): Ended => {
    const why = stop?.why ?? (scope.signal.aborted ? stoppedWith(tool) : undefined)
    return why && !isFatal(thrown) ? { how: 'stopped', why } : { how: 'threw', thrown }
  }
  try {
    const value: unknown = tool.execute(input, context)
    if (!isPromise(value)) return end({ how: 'returned', value })
    return new Promise<Ended>((resolve) => {
      stopOf().onLeft = (why) => resolve(end({ how: 'left behind', why }))
      Promise.resolve(value).then(
        (given) => resolve(end({ how: 'returned', value: given })),
        (thrown) => resolve(end(threwIt(thrown))),
      )
    })
  } catch (thrown) {
    return end(threwIt(thrown))
  }
}

/** What stops one execution: its run, or the tool's own time. The tool has then `graceMs` to end by itself. */
class Stop {
  /** Why it was told to stop. */
  why: ErrorInfo | undefined
  /** It did not, in time. */
  onLeft: (why: ErrorInfo) => void = () => {}
  readonly #tool: Tool
  readonly #scope: ExecutionScope
  readonly #link: ReturnType<typeof linkedController>
  readonly #unsets: (() => void)[] = []

  constructor(tool: Tool, scope: ExecutionScope) {
    this.#tool = tool
    this.#scope = scope
    this.#link = linkedController(scope.signal)
    const { timeoutMs } = tool
    if (this.signal.aborted) this.#countDown()
    else this.signal.addEventListener('abort', () => this.#countDown(), { once: true })
    if (timeoutMs === undefined) return
    this.#after(timeoutMs, () => {
      const error = new ToolTimeoutError(tool.name, timeoutMs)
      this.why ??= { code: error.code, message: error.message }
      this.#link.controller.abort(error)
    })
  }

  get signal(): AbortSignal {
    return this.#link.controller.signal
  }

  end(): void {
    for (const unset of this.#unsets) unset()
    this.#link.unlink()
  }

  #countDown(): void {
    this.why ??= stoppedWith(this.#tool)
    const { why } = this
    this.#after(this.#scope.graceMs, () => this.onLeft(why))
  }

  #after(ms: number, ring: () => void): void {
    this.#unsets.push(ringAfter(ms, this.#scope.runtime, ring))
  }
}

const stoppedWith = ({ name }: Tool): ErrorInfo =>
  failed('aborted', `The run was stopped before the tool "${name}" finished.`).error

/** Not the registry itself: a tool may add and remove tools, and that is all. */
function dynamicTools(tools: ToolSource): DynamicTools {
  return {
    register: (tool, options) => tools.register(tool, options),
    unregister: (name) => tools.unregister(name),
    has: (name) => tools.has(name),
  }
}

function endingOf(ended: Ended, effect: Effect): Ending {
  if (ended.how === 'returned') return returned(ended.value)
  if (ended.how === 'threw') return threw(ended.thrown)
  // It was under way when it was stopped: only the tool's own promise says whether doing it again is safe.
  const advice =
    effect === 'once' ? 'Its outcome is unknown: check before you call it again.' : 'It may be called again.'
  const { code, message } = ended.why
  if (ended.how === 'stopped') return failed(code, `${message} ${advice}`)
  return { ...failed(code, `${message} It did not stop and was left behind. ${advice}`), status: 'abandoned' }
}

function returned(value: unknown): Ending {
  if (!isToolOutput(value)) return { status: 'completed', output: value }
  const { ok, output, metadata } = value
  if (ok) return { status: 'completed', output, metadata }
  return { ...failed('tool_execution', outputText(output)), metadata }
}

function threw(thrown: unknown): Ending {
  const message = thrown === undefined || thrown === null ? '' : String(messageOf(thrown)).trim()
  const ending = failed(
    isTercetError(thrown) ? thrown.code : 'tool_execution',
    message || 'The tool failed and did not say why.',
  )
  return isFatal(thrown) ? { ...ending, fatal: thrown } : ending
}

function isFatal(thrown: unknown): thrown is TercetError {
  return isTercetError(thrown) && thrown.code === 'fatal_tool'
}

/** Puts an ending into words, scrubbed and cut. */
function render(
  call: ToolCall,
  tool: Tool | undefined,
  ending: Ending,
  durationMs: number,
  scope: Wording,
): ToolOutcome {
  const { scrubber } = scope.secrets
  const isOk = ending.status === 'completed'
  const data = isOk && isData(ending.output) ? outputJson(ending.output) : undefined
  const said = isOk ? modelText(tool, ending.output, data, scope) : wellFormed(ending.error.message)
  // Scrubbed before it is cut: half a secret is not recognised any more.
  const { text, isCut } = cutText(scrubber.text(said), tool?.maxOutput ?? scope.maxOutput)
  const metadata = ending.metadata === undefined ? undefined : outputObject(ending.metadata)
  const result: ToolResult = {
    callId: call.id,
    toolName: call.toolName,
    ok: isOk,
    output: isOk ? text : `Error: ${text}`,
    ...(data !== undefined && { data: scrubber.value(data) }),
    ...(!isOk && { error: { code: ending.error.code, message: text } }),
    ...(isCut && { truncated: true as const }),
    ...(metadata && { metadata: scrubber.value(metadata) }),
    durationMs,
  }
  return { status: ending.status, result, ...(!isOk && ending.fatal && { fatal: ending.fatal }) }
}

const isData = (output: unknown): boolean => output !== undefined && typeof output !== 'string'

/** `data` is the output as JSON, where it is no text: anything is read once only. */
function modelText(
  tool: Tool | undefined,
  output: unknown,
  data: JsonValue | undefined,
  { onDiagnostic, secrets }: Wording,
): string {
  if (typeof tool?.formatOutput === 'function') {
    try {
      return outputText(tool.formatOutput(output))
    } catch (thrown) {
      const said = `formatOutput of tool "${tool.name}" failed, the model is shown the plain output: ${messageOf(thrown)}`
      onDiagnostic('hook_failed', secrets.scrubber.text(said))
    }
  }
  return outputText(data ?? output)
}
