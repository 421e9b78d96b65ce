import type { LLMRequest, ToolDefinition } from '../client/client.ts'
import type { Content, ContentPart, Message, Reasoning } from '../messages.ts'
import { HistoryFold } from './history-fold.ts'
import { HistoryMeasure } from './history-measure.ts'
import type { TokenCounter } from './memory.ts'

/** Tokens of messages that are sent at most where nobody knows the context window. */
export const defaultBudgetTokens = 8_000

/** Tokens of a text, roughly: a quarter of its code points, rounded up. */
export function estimateTokens(text: string): number {
  return Math.ceil(codePointsOf(text) / 4)
}

/**
 * Tokens of one message: its text, the names and parameters of its calls as JSON, its plan, and reasoning that is sent
 * back to its provider. An image or a file counts 1,000, whatever its size. Every piece is counted by itself.
 */
export function messageTokens(message: Message, countTokens: TokenCounter): number {
  switch (message.role) {
    case 'system':
    case 'tool':
      return countTokens(message.content)
    case 'user':
      return contentTokens(message.content, countTokens)
    case 'assistant': {
      const { content, plan, toolCalls = [], reasoning = [] } = message
      let tokens = countTokens(content)
      if (plan !== undefined) tokens += countTokens(plan)
      for (const call of toolCalls) {
        tokens += countTokens(call.toolName) + jsonTokens(call.parameters, countTokens)
      }
      for (const part of reasoning) tokens += reasoningTokens(part, countTokens)
      return tokens
    }
  }
}

/**
 * Counts texts, messages and tools, each message and tool once: they are immutable, so what was counted is remembered as
 * long as they live. A fraction counts as a whole token. A counter that throws, or gives anything but a number from 0 up,
 * is replaced by the estimate for that text.
 */
export class TokenCounts {
  readonly #counter: TokenCounter
  readonly #known = new WeakMap<object, number>()
  readonly #measures = new HistoryFold(
    () => new HistoryMeasure(),
    (measure, message) => measure.add(message, this.#counted(message)),
  )
  /** The system prompt that was counted last: it is long, and hardly ever another one. */
  #system = { text: '', tokens: 0 }

  /** Default: `estimateTokens`. */
  constructor(counter: TokenCounter = estimateTokens) {
    this.#counter = counter
  }

  /** Tokens of a text; an empty one has none. A function by itself: it may be passed on. */
  readonly text: OwnCounter = Object.assign((text: string) => this.#text(text), { [ownCounts]: this })

  #text(text: string): number {
    if (text === '') return 0
    try {
      const tokens: unknown = this.#counter(text)
      if (typeof tokens === 'number' && tokens >= 0 && tokens < Number.POSITIVE_INFINITY) {
        // Sums of whole numbers are exact, in whatever order they are added.
        return Math.ceil(tokens)
      }
    } catch {
      // A wrong count is better than no answer.
    }
    return estimateTokens(text)
  }

  /** All of what a model reads of a request. */
  request({ system = '', tools = [], messages }: Pick<LLMRequest, 'system' | 'tools' | 'messages'>): number {
    return this.system(system) + this.tools(tools) + this.messages(messages)
  }

  system(text: string): number {
    if (text !== this.#system.text) this.#system = { text, tokens: this.text(text) }
    return this.#system.tokens
  }

  message(message: Message): number {
    return this.#known.get(message) ?? this.#keep(message, messageTokens(message, this.text))
  }

  /** Sums hold the tokens of their messages already; to count one again costs something only with a counter from outside. */
  #counted(message: Message): number {
    return this.#counter === estimateTokens ? messageTokens(message, this.text) : this.message(message)
  }

  /** Also the sum is remembered: a list that was counted must not be changed. */
  messages(messages: readonly Message[]): number {
    const known = this.#known.get(messages)
    if (known !== undefined) return known
    let tokens = 0
    for (const message of messages) tokens += this.message(message)
    return this.#keep(messages, tokens)
  }

  /** The same for a history that grows: of one that was counted before, only what is new is. */
  history(history: readonly Message[]): number {
    return this.#keep(history, this.measure(history).sums[history.length] ?? 0)
  }

  /** What has to be known of a history to cut it. Read it before anything is waited for: it grows with the history. */
  measure(history: readonly Message[]): Readonly<HistoryMeasure> {
    return this.#measures.of(history)
  }

  /** Remembers a sum that is known without adding up. */
  remember(messages: readonly Message[], tokens: number): void {
    this.#keep(messages, tokens)
  }

  /** Tokens of what the model learns of its tools: names, descriptions and parameter schemas. */
  tools(definitions: readonly ToolDefinition[]): number {
    let tokens = 0
    for (const definition of definitions) tokens += this.#tool(definition)
    return tokens
  }

  #tool(definition: ToolDefinition): number {
    const known = this.#known.get(definition)
    if (known !== undefined) return known
    const { name, description, parameters } = definition
    const tokens = this.text(name) + this.text(description) + jsonTokens(parameters, this.text)
    return this.#keep(definition, tokens)
  }

  #keep(counted: object, tokens: number): number {
    this.#known.set(counted, tokens)
    return tokens
  }
}

/**
 * Leads from a counter to the counts it belongs to, so that an agent and its memory count each message once together.
 * Registered, for they may come from two copies of this module. Another name, should what is found there ever be different.
 */
const ownCounts: unique symbol = Symbol.for('tercet.counts')

type OwnCounter = TokenCounter & { readonly [ownCounts]?: TokenCounts }

/** The counts of each counter: a memory is handed its counter anew with every request. */
export class CountsByCounter {
  readonly #counts = new WeakMap<TokenCounter, TokenCounts>()

  of(countTokens: OwnCounter): TokenCounts {
    const own = countTokens[ownCounts]
    if (own) return own
    const known = this.#counts.get(countTokens)
    if (known) return known
    const counts = new TokenCounts(countTokens)
    this.#counts.set(countTokens, counts)
    return counts
  }
}

const attachmentTokens = 1_000

function contentTokens(content: Content, countTokens: TokenCounter): number {
  if (typeof content === 'string') return countTokens(content)
  return content.reduce((tokens, part) => tokens + partTokens(part, countTokens), 0)
}

function partTokens(part: ContentPart, countTokens: TokenCounter): number {
  return part.type === 'text' ? countTokens(part.text) : attachmentTokens
}

function reasoningTokens({ opaque, text }: Reasoning, countTokens: TokenCounter): number {
  if (opaque === undefined) return 0
  return text === undefined ? jsonTokens(opaque, countTokens) : countTokens(text)
}

function jsonTokens(value: unknown, countTokens: TokenCounter): number {
  try {
    return countTokens(JSON.stringify(value) ?? '')
  } catch {
    // Circular, or nested deeper than the stack: whoever sends it will say so.
    return attachmentTokens
  }
}

/** Code points of a text, without making an array of them. Half of a surrogate pair counts as one. */
export function codePointsOf(text: string): number {
  let count = text.length
  // In text without characters of two bytes this is known without looking.
  const first = text.search(/[\ud800-\udbff][\udc00-\udfff]/)
  if (first < 0) return count
  for (let at = first + 1; at < text.length; at++) {
    if (isLow(text.charCodeAt(at)) && isHigh(text.charCodeAt(at - 1))) {
      count--
      at++
    }
  }
  return count
}

/** The first `count` code points. */
export function firstCodePoints(text: string, count: number): string {
  let end = 0
  for (let taken = 0; taken < count && end < text.length; taken++) {
    end += isHigh(text.charCodeAt(end)) && isLow(text.charCodeAt(end + 1)) ? 2 : 1
  }
  return text.slice(0, end)
}

/** The last `count` code points. */
export function lastCodePoints(text: string, count: number): string {
  let start = text.length
  for (let taken = 0; taken < count && start > 0; taken++) {
    start -= isLow(text.charCodeAt(start - 1)) && isHigh(text.charCodeAt(start - 2)) ? 2 : 1
  }
  return text.slice(start)
}

const isHigh = (unit: number) => unit >= 0xd800 && unit <= 0xdbff

const isLow = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff
