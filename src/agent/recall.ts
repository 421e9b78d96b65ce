import { messageOf } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { Embed } from '../memory/meaning-search.ts'
import { fullText, MessageSearch } from '../memory/message-search.ts'
import { repairHistory } from '../memory/repair.ts'
import { codePointsOf, firstCodePoints, lastCodePoints } from '../memory/tokens.ts'
import { bestPlace, type Hit } from '../memory/word-search.ts'
import type { Message } from '../messages.ts'
import { type ToolContext, type ToolOutput, toolError } from '../tools/tool.ts'

/** What the tool's options say. */
interface RecallSettings {
  readonly name: string
  readonly embed: Embed | undefined
  readonly maxOutput: number
}

/** Answers the calls of one recall tool. */
export class Recall {
  readonly #settings: RecallSettings
  readonly #search: MessageSearch

  constructor(settings: RecallSettings) {
    this.#settings = settings
    this.#search = new MessageSearch(settings.name)
  }

  answer(
    input: JsonObject,
    { conversation, signal }: ToolContext,
  ): string | ToolOutput | Promise<string | ToolOutput> {
    const { name, maxOutput } = this.#settings
    const { query = '', message, call, offset = 0, limit = maxOutput } = input as Input
    if (!conversation) return toolError('There is no conversation to look back into.')
    const said = saidBefore(conversation.history())
    const piece: Piece = { name, offset, size: Math.min(limit, maxOutput - longestHeading) }
    if (message !== undefined) return readMessage(said, message, piece)
    if (call !== undefined) return readResult(said, call, piece)
    if (query.trim() !== '') return find(said, query, this.#search, this.#settings, signal)
    return toolError(
      'Say what to recall: { "query": "a few telling words" } to search, ' +
        'or { "message": 5 } or { "call": "call_3" } to read.',
    )
  }
}

/** What the schema has made sure of. */
interface Input extends JsonObject {
  readonly query?: string
  readonly message?: number
  readonly call?: string
  readonly offset?: number
  readonly limit?: number
}

/** Everything before the reply that makes the call, as requests have it: repaired, ids as the model knows them. */
function saidBefore(history: readonly Message[]): readonly Message[] {
  const { messages } = repairHistory(history)
  const asking = messages.findLastIndex(
    (message) => message.role === 'assistant' && message.toolCalls !== undefined,
  )
  return asking < 0 ? messages : messages.slice(0, asking)
}

/** Which part of a message is read; in code points. */
interface Piece {
  /** Of the tool that reads. */
  readonly name: string
  readonly offset: number
  readonly size: number
}

function readMessage(said: readonly Message[], number: number, piece: Piece): string | ToolOutput {
  const message = said[number - 1]
  if (message) return read(said, message, piece)
  return toolError(`There is no message ${number}: there are ${said.length}, from 1 on. Search with "query".`)
}

function readResult(said: readonly Message[], callId: string, piece: Piece): string | ToolOutput {
  const message = said.find((each) => each.role === 'tool' && each.callId === callId)
  if (message) return read(said, message, piece)
  const shown = JSON.stringify(firstCodePoints(callId, longestName))
  return toolError(`There is no earlier call ${shown}. Search with "query".`)
}

/** A line that says what it is, and then the text exactly as it is. */
function read(
  said: readonly Message[],
  message: Message,
  { name, offset, size }: Piece,
): string | ToolOutput {
  const text = fullText(message, name)
  const length = codePointsOf(text)
  if (offset > 0 && offset >= length) {
    return toolError(`The message has ${length} code points, so there is nothing from offset ${offset} on.`)
  }
  const piece = firstCodePoints(text.slice(firstCodePoints(text, offset).length), size)
  const end = offset + codePointsOf(piece)
  const part = end - offset === length ? 'all of it' : `code points ${offset} to ${end - 1} of ${length}`
  const more = end < length ? `; read on with "offset": ${end}` : ''
  return `${headingOf(said, message)}, ${part}${more}:\n${piece}`
}

async function find(
  said: readonly Message[],
  query: string,
  search: MessageSearch,
  { name, embed, maxOutput }: RecallSettings,
  signal: AbortSignal,
): Promise<string | ToolOutput> {
  // The question is in sight, and has the words of the query as no other message has.
  const question = questionIn(said)
  const earlier = said.filter((_, index) => index !== question)
  let hits: readonly Hit<Message>[]
  try {
    hits = await search.rank(query, earlier, { embed, signal })
  } catch (error) {
    signal.throwIfAborted()
    const failure = `but the search failed: ${messageOf(error)}`
    return toolError(`Messages can be read by "message" or "call", ${failure}`)
  }
  if (hits.length === 0) return 'Nothing found. Try other words.'
  const size = Math.min(
    longestExcerpt,
    Math.floor((maxOutput - longestHeading) / mostHits) - longestHeading / 2,
  )
  const found = hits.slice(0, mostHits).map(({ item }) => {
    const { text, offset } = excerptOf(fullText(item, name), query, size)
    return `${headingOf(said, item)}${offset > 0 ? `, offset ${offset}` : ''}: ${text}`
  })
  return [...found, `Read one in full: ${name}({ "message": <number> }), and "offset" to begin there.`].join(
    '\n\n',
  )
}

const mostHits = 5
const longestExcerpt = 400
const longestName = 40
/** Code points of what stands before a text, at most. */
const longestHeading = 200

// The number of messages is that up to the question: it does not grow while the model looks back, so that whoever asks the
// same again gets the same, and is noticed.
function headingOf(said: readonly Message[], message: Message): string {
  const number = said.indexOf(message) + 1
  const count = questionIn(said) + 1
  const place = number <= count ? `message ${number} of ${count}` : `message ${number}, of this turn`
  if (message.role !== 'tool') return `${place}, ${message.role}`
  return `${place}, result of ${firstCodePoints(message.toolName, longestName)}`
}

const questionIn = (said: readonly Message[]) => said.findLastIndex(({ role }) => role === 'user')

/** The part of a text that says most of what was asked, on one line, and where it begins, in code points. */
function excerptOf(text: string, query: string, size: number): { text: string; offset: number } {
  const place = text.length > size ? bestPlace(query, text, size) : 0
  const start = place - lastCodePoints(text.slice(0, place), Math.floor(size / 4)).length
  const excerpt = firstCodePoints(text.slice(start), size)
  const isAtEnd = start + excerpt.length === text.length
  const line = excerpt.replace(/\s+/g, ' ').trim()
  return {
    text: `${start > 0 ? '…' : ''}${line}${isAtEnd ? '' : '…'}`,
    offset: codePointsOf(text.slice(0, start)),
  }
}
