import type { CallOptions, LLMRequest, LLMResponse } from '../client/client.ts'
import { clientError } from '../client/thrown.ts'
import { ConfigurationError, shown } from '../errors.ts'
import type { AgentUsageEvent } from '../events.ts'
import { assistant, type Message, type ToolCall, type Usage } from '../messages.ts'
import { nativeProtocol } from '../protocol/native.ts'
import type { PartialOutput } from '../protocol/partial-output.ts'
import type { Protocol, Turn, TurnCall } from '../protocol/protocol.ts'
import type { ReplyEntry } from '../transcript/entry.ts'
import type { Action } from '../transcript/next.ts'
import { checkResponse, noResponse } from './check-response.ts'
import { fitRequest } from './fit-request.ts'
import { ReplyDisplay } from './reply-display.ts'
import type { Run } from './run.ts'

type CallAction = Extract<Action, { do: 'call' }>

/** One model call: view, encode, call, decode, append. Tells what it shows and what it cost. */
export async function callModel(run: Run, action: CallAction): Promise<void> {
  run.stepId = `${run.runId}/${(run.fold?.iterations ?? 0) + 1}`
  if (action.landing)
    run.diagnose('landing', `The limit "${action.landing}" is reached: the model is told to answer now.`)
  if (action.correction) run.diagnose('repair', `The reply could not be used: ${action.correction.problem}`)

  const { protocol, request } = await encode(run, action)
  const display = new ReplyDisplay(run, protocol.reader(), await partialOutput(run))
  const startedAt = run.settings.runtime.now()
  let response: LLMResponse | undefined
  let entry: ReplyEntry
  try {
    response = await call(run, request, display)
    run.modelMs += run.settings.runtime.now() - startedAt
    response = checkResponse(await run.hook('afterModel', response), run.settings.client)
    entry = await decode(run, protocol, response, request, action)
  } catch (error) {
    if (!response) run.modelMs += run.settings.runtime.now() - startedAt
    await keepPartial(run, request, display, response)
    throw run.signal.aborted ? error : clientError(error, run.settings.client)
  }
  display.end(response, entry)
  await run.append(entry)
  tellUsage(run, entry)
  await tellReply(run)
}

async function encode(run: Run, action: CallAction): Promise<{ protocol: Protocol; request: LLMRequest }> {
  const { settings } = run
  const { client, registry, output, params } = settings
  const tools = await run.wait(registry.definitions())
  const instructions = await instructionsOf(run)
  const protocol = await protocolFor(run, tools.length)
  const { capabilities } = client
  const schema = output && (await run.wait(Promise.resolve(output.jsonSchema())))
  const input = {
    instructions,
    tools,
    toolsets: settings.describeToolsets ? registry.toolsets() : [],
    planning: settings.planning,
    first: run.fold?.iterations === 0,
    landing: action.landing !== undefined,
    ...(action.correction && { correction: action.correction }),
    ...(schema && {
      output: { schema, structured: capabilities.structuredOutput && schema['type'] === 'object' },
    }),
    ...(params && { params }),
  }
  const encoded = await fitRequest(run, protocol, input)
  const request = await run.hook('beforeModel', encoded)
  // What a hook put in has not passed the scrubber; what was appended has.
  const sent = request === encoded ? request : run.secrets.scrubber.value(request)
  settings.onRequest(sent)
  return { protocol, request: sent }
}

async function partialOutput({ settings }: Run): Promise<PartialOutput | undefined> {
  if (!settings.output) return undefined
  const { PartialOutput } = await import('../protocol/partial-output.ts')
  return new PartialOutput()
}

async function instructionsOf(run: Run): Promise<string> {
  const { runId, conversation, context } = run
  const given = run.settings.instructions({ runId, conversationId: conversation.id, context })
  const text: unknown = typeof given === 'string' ? given : await run.wait(given)
  if (typeof text !== 'string') {
    throw new ConfigurationError('instructions', `instructions must give a string, got ${shown(text)}.`, {
      value: text,
    })
  }
  return run.secrets.scrubber.text(text)
}

/** Without tools there is nothing an envelope would add: a model that cannot call tools is then spoken to plainly. */
async function protocolFor({ settings }: Run, tools: number): Promise<Protocol> {
  const { protocol, planning, client } = settings
  const isPlain = client.capabilities.tools || (tools === 0 && planning !== 'required')
  if (protocol === 'native' || (protocol === 'auto' && isPlain)) return nativeProtocol
  // Loaded when it is spoken: most models call tools natively.
  const { jsonProtocol } = await import('../protocol/json.ts')
  return jsonProtocol
}

async function call(run: Run, request: LLMRequest, display: ReplyDisplay): Promise<LLMResponse> {
  const { client, stream } = run.settings
  const options: CallOptions = {
    signal: run.signal,
    idempotencyKey: run.stepId,
    notify: (notice) => {
      if (notice.type === 'warning') return run.diagnose('parameter_dropped', notice.message)
      const error = { ...notice.error, message: run.secrets.scrubber.text(notice.error.message) }
      run.emit({ ...notice, error, runId: run.runId, stepId: run.stepId })
    },
  }
  if (!stream || !client.stream || !client.capabilities.streaming) {
    const response = checkResponse(await run.wait(client.call(request, options)), client)
    // Who reads along gets the text in one piece, when the display is ended.
    if (stream) display.begin()
    return response
  }
  const iterator = client.stream(request, options)[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value: chunk } = await run.wait(iterator.next())
      if (done) throw noResponse(client, 'its stream ended without a response')
      if (chunk.type === 'end') return checkResponse(chunk.response, client)
      if (display.push(chunk)) await run.paced()
    }
  } finally {
    // Not waited for: a client that does not let go must not hold the run.
    iterator.return?.()?.then(undefined, () => {})
  }
}

async function decode(
  run: Run,
  protocol: Protocol,
  response: LLMResponse,
  request: LLMRequest,
  action: CallAction,
): Promise<ReplyEntry> {
  const { client } = run.settings
  const base = {
    type: 'reply' as const,
    runId: run.runId,
    stepId: run.stepId,
    ...(response.reasoning && { reasoning: response.reasoning }),
    stopReason: response.stopReason,
    usage: usageOf(run, request, response),
    provider: client.provider,
    model: client.model,
    ...(action.landing && { landing: action.landing }),
  }
  const { text, stopReason } = response
  if (stopReason === 'refusal' || stopReason === 'content_filter') return { ...base, kind: 'refused', text }
  if (stopReason === 'length') {
    const calls = response.toolCalls.length > 0 ? ' None of its tool calls was executed.' : ''
    const problem = `Your reply was cut off at the token limit.${calls} Say it in fewer words.`
    return { ...base, kind: 'malformed', text, problem }
  }
  return entryOf(
    run,
    { ...base, ...(protocol.name === 'json' && { raw: text }) },
    protocol.decode(response),
    text,
  )
}

async function entryOf(
  run: Run,
  base: Omit<ReplyEntry, 'kind' | 'text'>,
  turn: Turn,
  said: string,
): Promise<ReplyEntry> {
  const plan = turn.plan !== undefined && { plan: turn.plan }
  switch (turn.kind) {
    case 'malformed':
      return { ...base, kind: 'malformed', text: said, problem: turn.message }
    case 'plan':
      return { ...base, ...plan, kind: base.landing ? 'partial' : 'plan', text: '' }
    case 'step': {
      const text = turn.thought ?? ''
      // Told to answer without tools, it called tools: what it said beside them is the best there is.
      if (base.landing) return { ...base, ...plan, kind: text.trim() ? 'final' : 'partial', text }
      return { ...base, ...plan, kind: 'step', text, toolCalls: withIds(run, turn.toolCalls) }
    }
    case 'final': {
      const { output } = run.settings
      if (!output) return { ...base, ...plan, kind: 'final', text: turn.text }
      const { readAnswer } = await import('./answer.ts')
      const answer = await run.wait(readAnswer(output, turn.text))
      if (!answer.ok)
        return { ...base, ...plan, kind: 'invalid_output', text: turn.text, problem: answer.problem }
      run.answer = run.secrets.scrubber.value(answer.value)
      return { ...base, ...plan, kind: 'final', text: turn.text }
    }
  }
}

/** Gives every call an id of its own: none is missing, and none was used before in this conversation. */
function withIds(run: Run, calls: readonly TurnCall[]): ToolCall[] {
  const taken = new Set<string>()
  const isFree = (id: string) => !taken.has(id) && !run.transcript.hasCall(id)
  let number = run.transcript.version
  return calls.map((call) => {
    let id = call.id ?? ''
    while (id === '' || !isFree(id)) id = `call_${++number}`
    taken.add(id)
    return { ...call, id }
  })
}

function usageOf(
  run: Run,
  request: LLMRequest,
  response: Pick<LLMResponse, 'text' | 'toolCalls' | 'usage'>,
): Usage {
  const reported = response.usage
  if (reported && isCount(reported.inputTokens) && isCount(reported.outputTokens)) return countsOf(reported)
  const { counts } = run.settings
  return {
    inputTokens:
      counts.text(request.system ?? '') +
      counts.tools(request.tools ?? []) +
      counts.messages(request.messages),
    outputTokens: counts.message(assistant(response.text, response.toolCalls)),
    estimated: true,
  }
}

/** Only what is a number of tokens: a client is someone else's code, and what it reports is stored and summed. */
function countsOf(reported: Usage): Usage {
  const { inputTokens, outputTokens, cachedInputTokens, cacheWriteTokens, reasoningTokens } = reported
  return {
    inputTokens,
    outputTokens,
    ...(isCount(cachedInputTokens) && { cachedInputTokens }),
    ...(isCount(cacheWriteTokens) && { cacheWriteTokens }),
    ...(isCount(reasoningTokens) && { reasoningTokens }),
    ...(reported.estimated === true && { estimated: true as const }),
  }
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0

/** A call that had begun to answer, or was stopped by us, was made and is paid for, as far as anyone can know. */
async function keepPartial(
  run: Run,
  request: LLMRequest,
  display: ReplyDisplay,
  response: LLMResponse | undefined,
): Promise<void> {
  const text = display.cut()
  if (!display.begun && !response && !run.signal.aborted) return
  const { client } = run.settings
  const entry: ReplyEntry = {
    type: 'reply',
    runId: run.runId,
    stepId: run.stepId,
    kind: 'partial',
    text,
    stopReason: response?.stopReason ?? 'unknown',
    usage: usageOf(run, request, response ?? { text, toolCalls: [] }),
    provider: client.provider,
    model: client.model,
  }
  await run.append(entry)
  tellUsage(run, entry)
}

function tellUsage(run: Run, { usage, provider, model }: ReplyEntry): void {
  const event: AgentUsageEvent = {
    type: 'usage',
    runId: run.runId,
    stepId: run.stepId,
    usage,
    estimated: usage.estimated === true,
    provider,
    model,
  }
  run.emit(event)
}

/** Tells what was appended, as it was appended: scrubbed. */
async function tellReply(run: Run): Promise<void> {
  const entry = run.fold?.last
  if (!entry) return
  const base = { runId: run.runId, stepId: run.stepId }
  const { kind, text, plan, toolCalls = [] } = entry
  if (plan !== undefined) run.emit({ type: 'plan', ...base, plan })
  if (kind === 'step') run.emit({ type: 'step', ...base, ...(text !== '' && { thought: text }), toolCalls })
  if (kind === 'final') run.emit({ type: 'final_response', ...base, answer: run.answer ?? text })
  if (kind === 'step' || kind === 'final' || kind === 'plan') {
    const message: Message = { ...assistant(text, toolCalls), ...(plan !== undefined && { plan }) }
    await run.hook('onMessage', message)
  }
  await run.paced()
}
