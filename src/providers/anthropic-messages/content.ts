import { LLMError } from '../../errors.ts'
import { type JsonObject, wellFormed } from '../../json.ts'
import type {
  AssistantMessage,
  ContentPart,
  DataSource,
  FilePart,
  Message,
  ToolCall,
} from '../../messages.ts'
import { filled, isBlank, jsonText, wireId, wireName } from '../wire-text.ts'
import { keptBlock } from './kept.ts'

/** Who is written to. */
export interface Reader {
  readonly provider: string
  readonly model: string
}

/**
 * A message as content blocks, none of them empty. A silent assistant has none.
 *
 * @throws LLMError of kind `invalid_request` for what this API cannot be sent.
 */
export function blocksOf(message: Message, reader: Reader): readonly JsonObject[] {
  switch (message.role) {
    case 'system':
      return isBlank(message.content) ? [] : [textBlock(message.content)]
    case 'user':
      return userBlocks(message.content, reader)
    case 'assistant':
      return assistantBlocks(message, reader)
    case 'tool':
      return [
        {
          type: 'tool_result',
          tool_use_id: callId(message.callId),
          content: filled(message.content),
          ...(!message.ok && { is_error: true }),
        },
      ]
  }
}

export function textBlock(text: string): JsonObject {
  return { type: 'text', text: wellFormed(text) }
}

function userBlocks(content: string | readonly ContentPart[], reader: Reader): readonly JsonObject[] {
  if (typeof content === 'string') return [textBlock(filled(content))]
  const parts = content.filter((part) => part.type !== 'text' || !isBlank(part.text))
  return parts.length === 0 ? [textBlock(filled(''))] : parts.map((part) => partBlock(part, reader))
}

/** What this model itself wants back stands where it stood; another's reasoning is nobody's business here. */
function assistantBlocks(
  { content, toolCalls = [], reasoning = [] }: AssistantMessage,
  { provider, model }: Reader,
): readonly JsonObject[] {
  if (isBlank(content) && toolCalls.length === 0) return []
  const blocks: JsonObject[] = []
  let [textAt, callsAt] = [0, 0]
  const sayUpTo = (text: number, calls: number) => {
    const said = content.slice(textAt, text)
    if (!isBlank(said)) blocks.push(textBlock(said))
    for (const call of toolCalls.slice(callsAt, calls)) blocks.push(callBlock(call))
    textAt = Math.max(textAt, text)
    callsAt = Math.max(callsAt, calls)
  }
  for (const each of reasoning) {
    const kept = each.provider === provider && each.model === model ? keptBlock(each) : undefined
    if (kept === undefined) continue
    sayUpTo(kept.textBefore, kept.callsBefore)
    blocks.push(kept.block)
  }
  sayUpTo(content.length, toolCalls.length)
  // A thought that led to nothing is refused.
  const end = blocks.findLastIndex(({ type }) => type !== 'thinking' && type !== 'redacted_thinking')
  return blocks.slice(0, end + 1)
}

function callBlock({ id, toolName, parameters }: ToolCall): JsonObject {
  const text = jsonText(parameters)
  // The same but for halves of characters, of which there are hardly ever any.
  const input = text.includes('\ufffd') ? (JSON.parse(text) as JsonObject) : parameters
  return { type: 'tool_use', id: callId(id), name: wireName(toolName), input }
}

/** Characters an id may have: the API names no limit, and those who offer it elsewhere name this one. */
const longestId = 64

function callId(id: string): string {
  return wireId(id, longestId)
}

function partBlock(part: ContentPart, reader: Reader): JsonObject {
  switch (part.type) {
    case 'text':
      return textBlock(part.text)
    case 'image':
      return imageBlock(withoutDataUrl(part), reader)
    case 'file':
      return documentBlock(part, withoutDataUrl(part), reader)
  }
}

const images: readonly string[] = ['image/jpeg', 'image/png', 'image/gif', 'image/webp']

function imageBlock(source: DataSource, reader: Reader): JsonObject {
  if ('url' in source) return { type: 'image', source: { type: 'url', url: source.url } }
  const { data, mediaType } = source
  if (!images.includes(mediaType)) {
    throw unsent(`images of the type ${shownType(mediaType)}`, 'Give it as JPEG, PNG, GIF or WebP.', reader)
  }
  return { type: 'image', source: { type: 'base64', media_type: mediaType, data } }
}

function documentBlock({ name = '' }: FilePart, source: DataSource, reader: Reader): JsonObject {
  const title = isBlank(name) ? {} : { title: wellFormed(name) }
  if ('url' in source) return { type: 'document', source: { type: 'url', url: source.url }, ...title }
  const { data, mediaType } = source
  if (mediaType === 'application/pdf') {
    return { type: 'document', source: { type: 'base64', media_type: mediaType, data }, ...title }
  }
  const text = /^text\/|^application\/json\b/.test(mediaType) ? textIn(data) : undefined
  if (text === undefined) {
    throw unsent(`files of the type ${shownType(mediaType)}`, 'Give it as PDF or as text.', reader)
  }
  return {
    type: 'document',
    source: { type: 'text', media_type: 'text/plain', data: filled(text) },
    ...title,
  }
}

/** Bytes in an address are bytes. */
function withoutDataUrl(source: DataSource): DataSource {
  if (!('url' in source)) return source
  const [, mediaType, data] = /^data:([^;,]+);base64,(.*)$/s.exec(source.url) ?? []
  return mediaType === undefined || data === undefined ? source : { mediaType, data }
}

function textIn(base64: string): string | undefined {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0)))
  } catch {
    return undefined
  }
}

function shownType(mediaType: string): string {
  return JSON.stringify(mediaType.slice(0, 60))
}

function unsent(what: string, cure: string, { provider, model }: Reader): LLMError {
  const message = `${provider} (${model}) does not take ${what}. ${cure}`
  return new LLMError(message, { kind: 'invalid_request', provider, model })
}
