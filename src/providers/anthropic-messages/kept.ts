import { isDeeperThan, isJsonObject, type JsonObject, type JsonValue, wellFormed } from '../../json.ts'
import type { Reasoning } from '../../messages.ts'
import { hashOf, jsonText } from '../wire-text.ts'

/**
 * A block of a reply that is neither text nor a call of ours, and that the API wants back as it was: thinking with its
 * signature, what tools of the server did, a summary. It travels in `Reasoning.opaque`.
 */
export interface KeptBlock {
  readonly block: JsonObject
  /** Where it stood: after so many UTF-16 units of the reply's text. */
  readonly textBefore: number
  /** And after so many of its calls. */
  readonly callsBefore: number
}

type Thought = Pick<Reasoning, 'text' | 'opaque'>

/** What is remembered of the blocks of a reply; nothing of those that are of no use to anyone. */
export function keep(blocks: readonly KeptBlock[]): readonly Thought[] {
  const known = blocks.filter(({ block }) => isReturned(block))
  // A use of a server's tool without its result is refused, and a result without its use.
  const uses = new Set(known.map(({ block }) => (isUse(block) ? block['id'] : undefined)))
  const results = new Set(known.map(({ block }) => block['tool_use_id']))
  return known.flatMap((each) => {
    const { id, tool_use_id: useId } = each.block
    const isWhole = isUse(each.block) ? results.has(id) : useId === undefined || uses.has(useId)
    return isWhole ? remembered(each) : []
  })
}

function remembered({ block, textBefore, callsBefore }: KeptBlock): readonly Thought[] {
  const at: readonly number[] = [textBefore, callsBefore]
  const { type, thinking, signature } = block
  if (type !== 'thinking') return [{ opaque: { at, block } }]
  const text = typeof thinking === 'string' ? thinking : ''
  // Without its signature it was cut, and would be refused; half a character cannot be sent, nor replaced in what is signed.
  const isSigned = typeof signature === 'string' && signature !== '' && wellFormed(text) === text
  if (text === '' && !isSigned) return []
  // Text that was changed on the way, by a scrubber, no longer fits its signature: the hash tells.
  const opaque = isSigned && { opaque: { at, signature, hash: hashOf(text) } }
  return [{ ...(text !== '' && { text }), ...opaque }]
}

/** The block as it was; `undefined` if there is none, or it would be refused. */
export function keptBlock({ text = '', opaque }: Thought): KeptBlock | undefined {
  if (!isJsonObject(opaque) || !Array.isArray(opaque['at'])) return undefined
  const { at, block, signature, hash } = opaque
  const [textBefore, callsBefore]: readonly JsonValue[] = at
  if (!isCount(textBefore) || !isCount(callsBefore)) return undefined
  if (isJsonObject(block)) return { block, textBefore, callsBefore }
  if (typeof signature !== 'string' || hash !== hashOf(text)) return undefined
  return { block: { type: 'thinking', thinking: text, signature }, textBefore, callsBefore }
}

const deepestBlock = 200

// Blocks that @anthropic-ai/sdk 1.11 has in answers and, unchanged, in requests.
const returned = ['thinking', 'redacted_thinking', 'container_upload', 'compaction', 'fallback']

function isReturned(block: JsonObject): boolean {
  const type = String(block['type'])
  const isKnown = returned.includes(type) || /^(server|mcp)_tool_use$|._tool_result$/.test(type)
  // Stores and requests walk it recursively.
  if (!isKnown || isDeeperThan(block, deepestBlock)) return false
  return type === 'thinking' || jsonText(block) === JSON.stringify(block)
}

function isUse({ type }: JsonObject): boolean {
  return type === 'server_tool_use' || type === 'mcp_tool_use'
}

function isCount(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
