import type { LLMClient, LLMRequest } from '../client/client.ts'
import type { AgentMemory } from '../memory/memory.ts'
import { messageBudget, type View, view } from '../memory/view.ts'
import type { Message } from '../messages.ts'
import type { EncodeInput, Protocol } from '../protocol/protocol.ts'
import type { Run } from './run.ts'

/**
 * The conversation as a request that fits the context window. What a protocol writes around messages takes up room, too:
 * where it is too much, what the memory chose is cut once more. What cannot be made to fit is sent, with a `diagnostic`.
 */
export async function fitRequest(
  run: Run,
  client: LLMClient,
  protocol: Protocol,
  input: Omit<EncodeInput, 'messages'>,
): Promise<LLMRequest> {
  const { counts, memory } = run.settings
  const encode = (messages: readonly Message[]) =>
    protocol.encode({ ...input, messages: withBlocks(run, messages) })
  const frameTokens = counts.request(encode([]))

  await makeRoom(run, client, frameTokens, input)
  let seen = await look(run, client, run.transcript.compacted(), memory, frameTokens, input)
  let request = encode(seen.messages)
  const { budgetTokens } = seen
  if (budgetTokens === undefined) return request
  const excess = () => counts.request(request) - frameTokens - budgetTokens
  // More each time: cutting a text by so many tokens may save fewer of them in the request.
  for (let [over, reserved, factor] = [excess(), 0, 1]; over > 0; over = excess(), factor *= 2) {
    if (seen.diagnostics.some(({ code }) => code === 'context_overflow')) return request
    if (factor > largestFactor) {
      run.diagnose('context_overflow', `The request is ${over} tokens too long for the context window.`)
      return request
    }
    reserved += over * factor
    seen = await look(run, client, seen.messages, null, frameTokens + reserved, input)
    request = encode(seen.messages)
  }
  return request
}

/** Summarises older messages before they take up more of the window than they may. */
async function makeRoom(
  run: Run,
  client: LLMClient,
  overheadTokens: number,
  input: Pick<EncodeInput, 'params'>,
): Promise<void> {
  const { compactor, contextBudget } = run.settings
  if (!compactor) return
  const window = windowOf(run, client, input)
  const { contextWindow } = window
  const room =
    contextWindow === undefined
      ? contextBudget * unknownBudget
      : Math.min(
          Math.floor(contextBudget * contextWindow) - overheadTokens,
          messageBudget({ ...window, contextWindow, overheadTokens }),
        )
  const { compactToFit } = await import('./compact.ts')
  await compactToFit(run, compactor, Math.floor(room))
}

/** What memories keep to, where nobody knows the window. */
const unknownBudget = 8_000

/** Blocks are no part of the conversation, so what they add has not passed the scrubber yet. */
function withBlocks({ settings, secrets }: Run, messages: readonly Message[]): readonly Message[] {
  if (!settings.blocks) return messages
  const said = new Set(messages)
  return settings.blocks
    .buildMessages(messages)
    .map((message) => (said.has(message) ? message : secrets.scrubber.value(message)))
}

const largestFactor = 2 ** 8

async function look(
  run: Run,
  client: LLMClient,
  history: readonly Message[],
  memory: AgentMemory | null,
  overheadTokens: number,
  input: Pick<EncodeInput, 'params'>,
): Promise<View> {
  const { settings, conversation, signal } = run
  const seen = await run.wait(
    view({
      history,
      memory,
      counts: settings.counts,
      overheadTokens,
      ...windowOf(run, client, input),
      conversationId: conversation.id,
      signal,
    }),
  )
  for (const { code, message } of seen.diagnostics) run.diagnose(code, message)
  return seen
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
