import type { ModelParams } from '../../client/client.ts'
import { isJsonObject, type JsonObject } from '../../json.ts'
import type { MessagesQuirks } from './models.ts'
import type { WireTurn } from './turns.ts'

interface Asked {
  readonly params: ModelParams
  readonly turns: readonly WireTurn[]
  readonly choice: JsonObject | undefined
  readonly maxTokens: number
}

interface Thinking {
  readonly thinking?: JsonObject
  /** Goes to `output_config`. */
  readonly effort: JsonObject
  readonly maxTokens: number
  readonly choice: JsonObject | undefined
}

/**
 * How the model is asked to think, and what of the rest has to give way to it: thinking by a number of tokens needs more of
 * them than it may use, cannot be forced to a tool, and cannot begin between a call and its result.
 */
export function thinkingOf(
  { params, turns, choice, maxTokens }: Asked,
  quirks: MessagesQuirks,
  warn: (message: string) => void,
): Thinking {
  const { effort, budget } = effortOf(params, quirks, warn)
  const given = params.extra?.['thinking']
  const own = isJsonObject(given) ? given : undefined
  const plain = { effort, maxTokens, choice, ...(own && { thinking: own }) }
  const isManual = own === undefined ? budget !== undefined : own['type'] === 'enabled'
  if (!isManual) return plain
  const { thinking: _, ...without } = plain
  if (isUnthoughtOf(turns)) {
    warn('The model was not asked to think: the calls it is to go on from have no thinking of its own.')
    return without
  }
  const type = choice?.['type']
  const isForced = type === 'any' || type === 'tool'
  if (isForced)
    warn('The model was left to choose: thinking and a tool that has to be called exclude each other.')
  const { disable_parallel_tool_use: isOne } = choice ?? {}
  const free = isForced
    ? { type: 'auto', ...(isOne !== undefined && { disable_parallel_tool_use: isOne }) }
    : choice
  if (own !== undefined) return { ...plain, choice: free }
  const room = params.maxOutputTokens === undefined ? maxTokens + (budget ?? 0) : maxTokens
  const tokens = Math.min(budget ?? 0, room - 1)
  if (tokens < leastBudget) {
    warn(`The model was not asked to think: ${maxTokens} tokens for its answer leave no room for that.`)
    return without
  }
  return { ...without, choice: free, maxTokens: room, thinking: { type: 'enabled', budget_tokens: tokens } }
}

const leastBudget = 1024

// Tokens to think, for models that know no effort.
const budgets: ReadonlyMap<string, number> = new Map([
  ['minimal', 1024],
  ['low', 2048],
  ['medium', 8192],
  ['high', 16_384],
  ['xhigh', 24_576],
  ['max', 24_576],
])

function effortOf(
  { reasoningEffort: asked }: ModelParams,
  { effort }: MessagesQuirks,
  warn: (message: string) => void,
): { readonly effort: JsonObject; readonly budget?: number } {
  if (asked === undefined) return { effort: {} }
  const budget = budgets.get(asked)
  if (effort === 'none' || budget === undefined) {
    // A model that is not asked to think does not, unless it always does.
    if (asked !== 'none' || effort === 'effort') {
      const known =
        effort === 'none' ? 'it has no such setting.' : `it knows ${[...budgets.keys()].join(', ')}.`
      warn(`The model was not asked for the reasoning effort ${JSON.stringify(asked.slice(0, 60))}: ${known}`)
    }
    return { effort: {} }
  }
  if (effort === 'budget') return { effort: {}, budget }
  return { effort: { effort: asked === 'minimal' ? 'low' : asked } }
}

/** The last calls, to whose results the model is to answer, do not begin with a thought. */
function isUnthoughtOf(turns: readonly WireTurn[]): boolean {
  const last = turns.findLastIndex(({ role }) => role === 'assistant')
  const calls = turns[last]?.content ?? []
  const isOpen = turns
    .slice(last + 1)
    .some(({ content }) => content.some(({ type }) => type === 'tool_result'))
  if (!isOpen || !calls.some(({ type }) => type === 'tool_use')) return false
  const first = calls[0]?.['type']
  return first !== 'thinking' && first !== 'redacted_thinking'
}
