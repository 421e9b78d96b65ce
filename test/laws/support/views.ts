import { TokenCounts } from '../../../src/memory/tokens.ts'
import type { View } from '../../../src/memory/view.ts'
import type { Message } from '../../../src/messages.ts'
import { jsonProtocol } from '../../../src/protocol/json.ts'
import { nativeProtocol } from '../../../src/protocol/native.ts'

/** A request as each protocol writes it, around the messages of a view. */
export const protocols = [nativeProtocol, jsonProtocol]

export const frame = {
  instructions: 'Be brief.',
  tools: [{ name: 'search', description: 'Finds', parameters: { type: 'object', properties: {} } }],
  toolsets: [],
  planning: 'auto',
  first: true,
  landing: true,
} as const

/** `value` itself, with everything in it frozen. */
export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) frozen(member)
  }
  return value
}

/** What is seen as it was said stands in the order in which it was said. Results may have been moved to their calls. */
export function outOfOrder(seen: readonly Message[], history: readonly Message[]): string | undefined {
  const known = new Set(history)
  let at = 0
  for (const message of seen) {
    if (message.role === 'tool' || !known.has(message)) continue
    const place = history.indexOf(message, at)
    if (place < 0) return `the order changed at ${JSON.stringify(message)}`
    at = place + 1
  }
  return undefined
}

export function overBudget({ messages, budgetTokens, diagnostics }: View): string | undefined {
  if (budgetTokens === undefined) return undefined
  const tokens = new TokenCounts().messages(messages)
  const isSaid = diagnostics.some(({ code }) => code === 'context_overflow')
  return tokens <= budgetTokens || isSaid
    ? undefined
    : `${tokens} tokens of ${budgetTokens}, and nothing says so`
}

/** How many of the requests do not begin with all of the one before. */
export function breaks(requests: readonly (readonly Message[])[]): number {
  const texts = requests.map((messages) => messages.map((message) => JSON.stringify(message)))
  return texts.filter((text, at) => texts[at - 1]?.some((message, index) => message !== text[index])).length
}
