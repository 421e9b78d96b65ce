import type { LLMClient, LLMRequest } from '../client/client.ts'
import type { AgentMemory } from '../memory/memory.ts'
import { type View, view } from '../memory/view.ts'
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

  let seen = await look(run, client, run.transcript.history(), memory, frameTokens, input)
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

const largestFactor = 2 ** 8

async function look(
  run: Run,
  { capabilities }: LLMClient,
  history: readonly Message[],
  memory: AgentMemory | null,
  overheadTokens: number,
  { params }: Pick<EncodeInput, 'params'>,
): Promise<View> {
  const { settings, conversation, signal } = run
  const contextWindow = settings.contextWindow ?? capabilities.contextWindow
  const maxOutputTokens = params?.maxOutputTokens ?? settings.maxOutputTokens ?? capabilities.maxOutputTokens
  const seen = await run.wait(
    view({
      history,
      memory,
      counts: settings.counts,
      repair: settings.repair,
      overheadTokens,
      ...(contextWindow !== undefined && { contextWindow }),
      ...(maxOutputTokens !== undefined && { maxOutputTokens }),
      conversationId: conversation.id,
      signal,
    }),
  )
  for (const { code, message } of seen.diagnostics) run.diagnose(code, message)
  return seen
}
