import { isDeeperThan, isJsonObject, type JsonObject, type JsonValue } from '../../json.ts'
import type { Reasoning } from '../../messages.ts'
import { hashOf } from '../wire-text.ts'

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

/** What is remembered of a block; nothing of one that is of no use to anyone. */
export function keep({ block, textBefore, callsBefore }: KeptBlock): readonly Thought[] {
  const at: readonly number[] = [textBefore, callsBefore]
  const { type, thinking, signature } = block
  if (type !== 'thinking') {
    // Stores and requests walk it recursively.
    return isReturned(type) && !isDeeperThan(block, deepestBlock) ? [{ opaque: { at, block } }] : []
  }
  const text = typeof thinking === 'string' ? thinking : ''
  // Without its signature it was cut, and would be refused.
  const isSigned = typeof signature === 'string' && signature !== ''
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

/** A use of a server's tool without its result, or a result without its use, is refused: `blocks` without them. */
export function withoutHalves(blocks: readonly KeptBlock[]): readonly KeptBlock[] {
  const uses = new Set(blocks.map(({ block }) => (isUse(block) ? block['id'] : undefined)))
  const results = new Set(blocks.map(({ block }) => block['tool_use_id']))
  return blocks.filter(({ block }) => {
    if (isUse(block)) return results.has(block['id'])
    return block['tool_use_id'] === undefined || uses.has(block['tool_use_id'])
  })
}

const deepestBlock = 200

// Blocks that @anthropic-ai/sdk 1.11 has in answers and, unchanged, in requests.
const returned = ['redacted_thinking', 'container_upload', 'compaction', 'fallback']

function isReturned(type: JsonValue | undefined): boolean {
  if (typeof type !== 'string') return false
  return returned.includes(type) || /^(server|mcp)_tool_use$|._tool_result$/.test(type)
}

function isUse({ type }: JsonObject): boolean {
  return type === 'server_tool_use' || type === 'mcp_tool_use'
}

function isCount(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
