import { type AssistantMessage, type Message, type ToolCall, textOf } from '../messages.ts'
import { type Embed, MeaningIndex } from './meaning-search.ts'
import { firstCodePoints } from './tokens.ts'
import { type Hit, WordIndex } from './word-search.ts'

/** Finds messages by words or, with `embed`, by meaning. What a message says is read and embedded once. */
export class MessageSearch {
  readonly #toolName: string
  readonly #texts = new WeakMap<Message, string>()
  readonly #words = new WordIndex<Message>((message) => this.#textOf(message))
  readonly #meanings = new MeaningIndex<Message>((message) =>
    firstCodePoints(this.#textOf(message), longestEmbedded),
  )

  /** `toolName` is the tool that searches: its calls and their results are not found again. */
  constructor(toolName: string) {
    this.#toolName = toolName
  }

  /**
   * The messages that fit `query` best, best first: those that have a word of it or, by meaning, all.
   *
   * @throws What `MeaningIndex.rank` throws.
   */
  async rank(
    query: string,
    messages: readonly Message[],
    { embed, signal }: { readonly embed: Embed | undefined; readonly signal: AbortSignal },
  ): Promise<Hit<Message>[]> {
    const spoken = messages.filter((message) => this.#textOf(message).trim() !== '')
    if (!embed || spoken.length === 0) return this.#words.rank(query, spoken)
    return this.#meanings.rank(query, spoken, embed, signal)
  }

  #textOf(message: Message): string {
    const known = this.#texts.get(message)
    if (known !== undefined) return known
    const text = this.#isFoundBefore(message) ? '' : fullText(message, this.#toolName)
    this.#texts.set(message, text)
    return text
  }

  #isFoundBefore(message: Message): boolean {
    return message.role === 'tool' && message.toolName === this.#toolName
  }
}

// Embedding models refuse more than some thousand tokens.
const longestEmbedded = 8_000

/**
 * All that a message says, as text: its content, where images and files are named in brackets; of a reply also its plan and
 * its calls, a line each, but those of the tool `except`.
 */
export function fullText(message: Message, except?: string): string {
  return message.role === 'assistant' ? replyText(message, except) : textOf(message.content)
}

function replyText({ content, plan, toolCalls = [] }: AssistantMessage, except: string | undefined): string {
  const calls = toolCalls.filter(({ toolName }) => toolName !== except)
  const lines = [content, ...(plan === undefined ? [] : [`[plan] ${plan}`]), ...calls.map(callText)]
  return (content === '' ? lines.slice(1) : lines).join('\n')
}

// In few words of its own: they would be found.
function callText({ id, toolName, parameters }: ToolCall): string {
  try {
    return `${toolName}(${JSON.stringify(parameters)}) [${id}]`
  } catch {
    // Circular, or nested deeper than the stack.
    return `${toolName}(…) [${id}]`
  }
}
