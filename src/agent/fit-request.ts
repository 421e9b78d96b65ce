import type { LLMClient, LLMRequest } from '../client/client.ts'
import type { Compactor } from '../memory/memory.ts'
import { defaultBudgetTokens } from '../memory/tokens.ts'
import { messageBudget, type View, type ViewInput, view } from '../memory/view.ts'
import type { Message } from '../messages.ts'
import type { EncodeInput, Protocol } from '../protocol/protocol.ts'
import type { Run } from './run.ts'

/** A request, and of what it was made. */
export interface Fitted {
  readonly request: LLMRequest
  /** The request without the conversation. */
  readonly frame: LLMRequest
  readonly history: readonly Message[]
}

/**
 * The conversation as a request that fits the context window. What a protocol writes around messages takes up room, too:
 * where it is too much, what the memory chose is cut once more. What cannot be made to fit is sent, with a `diagnostic`.
 */
export async function fitRequest(
  run: Run,
  client: LLMClient,
  protocol: Protocol,
  input: Omit<EncodeInput, 'messages'>,
): Promise<Fitted> {
  const { counts, memory } = run.settings
  const encode = (messages: readonly Message[], said = input) =>
    protocol.encode({ ...said, messages: withBlocks(run, messages) })
  // What is said in one request only is no part of it: the memory would cut for it, and the provider's cache be of no use
  // for this request and the next.
  const frame = encode([], { ...input, correction: undefined, landing: false })
  const frameTokens = counts.request(frame)

  if (run.settings.compactor) await makeRoom(run, run.settings.compactor, client, frameTokens, input)
  const history = run.transcript.compacted()
  const looking = look(run, client, { history, memory, overheadTokens: frameTokens }, input)
  let seen = looking instanceof Promise ? await looking : looking
  let request = encode(seen.messages)
  const { budgetTokens } = seen
  if (budgetTokens === undefined) return { request, frame, history }
  const excess = () => counts.request(request) - frameTokens - budgetTokens
  // Little at first: dropping comes in steps, and one more may be enough, as it will be for the next request. More each
  // time: cutting a text by so many tokens may save fewer of them in the request.
  for (let [over, reserved, factor] = [excess(), 0, smallestFactor]; over > 0; over = excess(), factor *= 2) {
    if (seen.diagnostics.some(({ code }) => code === 'context_overflow')) break
    if (factor > largestFactor) {
      run.diagnose('context_overflow', `The request is ${over} tokens too long for the context window.`)
      break
    }
    reserved += Math.ceil(over * factor)
    const { messages } = seen
    const cut = {
      history: messages,
      memory: null,
      overheadTokens: frameTokens + reserved,
      droppedTokens: Math.max(0, counts.history(history) - counts.messages(messages)),
    }
    seen = await look(run, client, cut, input)
    request = encode(seen.messages)
  }
  return { request, frame, history }
}

/** Summarises older messages before they take up more of the window than they may. */
async function makeRoom(
  run: Run,
  compactor: Compactor,
  client: LLMClient,
  overheadTokens: number,
  input: Pick<EncodeInput, 'params'>,
): Promise<void> {
  const { contextBudget } = run.settings
  const window = windowOf(run, client, input)
  const { contextWindow } = window
  const calibration = run.transcript.calibration.factorOf(client)
  const room =
    contextWindow === undefined
      ? contextBudget * defaultBudgetTokens
      : Math.min(
          Math.floor((contextBudget * contextWindow) / calibration) - overheadTokens,
          messageBudget({ ...window, contextWindow, overheadTokens, calibration }),
        )
  const { compactToFit } = await import('./compact.ts')
  await compactToFit(run, compactor, Math.floor(room))
}

/** Blocks are no part of the conversation, so what they add has not passed the scrubber yet. */
function withBlocks({ settings, secrets }: Run, messages: readonly Message[]): readonly Message[] {
  if (!settings.blocks) return messages
  const built = settings.blocks.buildMessages(messages)
  const more = built.length - messages.length
  // As a rule, what is added stands before all that was said.
  const isSaid = messages.every((message, at) => built[more + at] === message)
  const said = isSaid ? undefined : new Set(messages)
  return built.map((message, at) =>
    (said ? said.has(message) : at >= more) ? message : secrets.scrubber.value(message),
  )
}

const smallestFactor = 2 ** -5
const largestFactor = 2 ** 8

function look(
  run: Run,
  client: LLMClient,
  looked: Pick<ViewInput, 'history' | 'memory' | 'overheadTokens' | 'droppedTokens'>,
  input: Pick<EncodeInput, 'params'>,
): View | Promise<View> {
  const { settings, conversation, signal, transcript } = run
  const seen = view({
    ...looked,
    counts: settings.counts,
    repair: settings.repair,
    calibration: transcript.calibration.factorOf(client),
    ...windowOf(run, client, input),
    conversationId: conversation.id,
    signal,
  })
  const told = (it: View): View => {
    for (const { code, message } of it.diagnostics) run.diagnose(code, message)
    return it
  }
  return seen instanceof Promise ? run.wait(seen).then(told) : told(seen)
}

/** How much a request and its answer may be. */
function windowOf({ settings }: Run, { capabilities }: LLMClient, { params }: Pick<EncodeInput, 'params'>) {
  const contextWindow = settings.contextWindow ?? capabilities.contextWindow
  const maxOutputTokens = params?.maxOutputTokens ?? settings.maxOutputTokens ?? capabilities.maxOutputTokens
  return {
    ...(contextWindow !== undefined && { contextWindow }),
    ...(maxOutputTokens !== undefined && { maxOutputTokens }),
  }
}
