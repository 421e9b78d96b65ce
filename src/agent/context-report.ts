import type { LLMRequest } from '../client/client.ts'
import type { ContextReport } from '../events.ts'
import type { Message } from '../messages.ts'
import { summaryOf } from '../transcript/compacted.ts'
import type { Fitted } from './fit-request.ts'
import type { Run } from './run.ts'

/** Instructions as they were given, and as they are sent, with blocks. */
export interface Instructions {
  readonly given: string
  readonly sent: string
}

/** What a request is made of, and whether it goes on from the conversation's request before, whose place it takes. */
export function contextReport(
  run: Run,
  request: LLMRequest,
  fitted: Fitted,
  instructions: Instructions,
): ContextReport {
  const { conversation } = run
  const { counts } = run.settings
  const { system = '', tools = [], messages } = request
  const { sums, systems, toolResults } = counts.measure(messages)
  const inPrompt = counts.text(instructions.sent) - counts.text(instructions.given)
  // Blocks are what stands in a request without a conversation.
  const inMessages = counts.messages(fitted.frame.messages)
  const summary = summaryTokens(
    run,
    systems.flatMap((at) => messages[at] ?? []),
    fitted,
  )
  const before = conversation.lastRequest
  conversation.lastRequest = request
  const firstDifference = before && differenceOf(before, request)
  return {
    tokens: counts.request(request),
    segments: {
      instructions: counts.system(system) - inPrompt,
      blocks: inPrompt + inMessages,
      tools: counts.tools(tools),
      messages: (sums[messages.length] ?? 0) - inMessages - toolResults - summary,
      toolResults,
      ...(summary > 0 && { summary }),
    },
    prefixStable: before !== undefined && firstDifference === undefined,
    ...(firstDifference && { firstDifference }),
  }
}

/** Tokens of those system messages that stand for messages that are not sent. */
function summaryTokens(
  { settings: { counts }, transcript: { compaction } }: Run,
  systems: readonly Message[],
  { frame, history }: Fitted,
): number {
  if (systems.length === 0) return 0
  const written = compaction && summaryOf(compaction)
  const said = counts.measure(history).systems.flatMap((at) => history[at] ?? [])
  const known = [...frame.messages, ...said.filter((message) => message !== written)]
  return systems
    .filter((message) => !known.some((other) => other.content === message.content))
    .reduce((tokens, message) => tokens + counts.message(message), 0)
}

/** Where `after` stops to begin as `before` was: nowhere, if it only goes on from it. */
function differenceOf(before: LLMRequest, after: LLMRequest): ContextReport['firstDifference'] {
  if (before.system !== after.system) return 'instructions'
  const { tools = [] } = after
  const { tools: toolsBefore = [] } = before
  const areSame =
    toolsBefore.length === tools.length && toolsBefore.every((tool, at) => isSame(tool, tools[at]))
  if (!areSame) return 'tools'
  const at = before.messages.findIndex((message, index) => !isSameMessage(message, after.messages[index]))
  return at < 0 ? undefined : `messages[${at}]`
}

/** Most are the same object. Those that a protocol makes anew each time differ, if at all, in their text. */
function isSameMessage(one: Message, other: Message | undefined): boolean {
  if (one === other) return true
  if (one.role !== other?.role) return false
  const isText = one.role === 'user' || one.role === 'system' || Object.keys(one).length === 2
  return isText && typeof one.content === 'string' ? one.content === other.content : isSame(one, other)
}

const isSame = (one: object, other: object | undefined) =>
  one === other || JSON.stringify(one) === JSON.stringify(other)
