import { isJsonObject, type JsonObject, type JsonValue } from '../../json.ts'

export type CacheTtl = '5m' | '1h'

/**
 * The body with its breakpoints, each of which ends a part of the prompt that the provider keeps and need not read again:
 * the tools, the instructions, and the last two of the user's turns, of which the first is found again by the next request
 * even if many blocks are added in between. They are four, as many as the API takes.
 */
export function withBreakpoints(body: JsonObject, ttl: CacheTtl): JsonObject {
  const mark: JsonObject = { type: 'ephemeral', ...(ttl !== '5m' && { ttl }) }
  const { tools, system, messages } = body
  const turns = Array.isArray(messages) ? messages : []
  const marked = turns
    .flatMap((turn, index) => (isJsonObject(turn) && turn['role'] === 'user' ? [index] : []))
    .slice(-2)
  return {
    ...body,
    ...(tools !== undefined && { tools: endMarked(tools, mark) }),
    ...(system !== undefined && { system: endMarked(system, mark) }),
    messages: turns.map((turn, index) =>
      isJsonObject(turn) && marked.includes(index)
        ? { ...turn, content: endMarked(turn['content'] ?? [], mark) }
        : turn,
    ),
  }
}

function endMarked(blocks: JsonValue, mark: JsonObject): JsonValue {
  const last = Array.isArray(blocks) ? blocks.at(-1) : undefined
  if (!Array.isArray(blocks) || !isJsonObject(last)) return blocks
  return [...blocks.slice(0, -1), { ...last, cache_control: mark }]
}
