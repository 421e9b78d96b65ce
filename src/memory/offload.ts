import type { Message, ToolMessage } from '../messages.ts'
import { checkOptions, either, filledText, integer, oneOf, optional } from '../options.ts'
import type { AgentMemory, MemoryContext, TokenCounter } from './memory.ts'
import { CountsByCounter, codePointsOf, firstCodePoints, lastCodePoints, type TokenCounts } from './tokens.ts'

export interface OffloadToolOutputOptions {
  /** Tokens of a tool result above which it is shown in part, note included; at least 100. */
  readonly maxTokens: number
  /**
   * Tokens of it that are still shown, two thirds of its beginning and a third of its end, or as many as fit beside the note.
   * Default: a quarter of `maxTokens`.
   */
  readonly keepTokens?: number
  /**
   * The tool that reads the rest: a `recallTool`, by its name. Its own results are shown in full. `null` if the agent has none;
   * the note then only says how much is left out. Default `'recall'`.
   */
  readonly readWith?: string | null
}

/**
 * A memory that shows a large tool result by its beginning and its end, with a note of how to read the rest. The result
 * itself stays in the transcript. What is shown depends on the result alone, so it is the same from the first request on and
 * provider caches keep their use. One that cannot be shown within `maxTokens` beside its note stays as it is.
 *
 * @throws ConfigurationError
 */
export function offloadToolOutput(options: OffloadToolOutputOptions): AgentMemory {
  checkOptions('offloadToolOutput()', options, {
    maxTokens: integer(100),
    keepTokens: optional(integer(0)),
    readWith: optional(either(filledText(), oneOf(null))),
  })
  const { maxTokens, keepTokens = Math.floor(maxTokens / 4), readWith = 'recall' } = options
  return new OffloadingMemory({ maxTokens, keepTokens, readWith })
}

class OffloadingMemory implements AgentMemory {
  readonly #options: Required<OffloadToolOutputOptions>
  readonly #counts = new CountsByCounter()
  readonly #shown = new WeakMap<TokenCounts, WeakMap<Message, Message>>()

  constructor(options: Required<OffloadToolOutputOptions>) {
    this.#options = options
  }

  manageHistory(history: readonly Message[], { countTokens }: MemoryContext): readonly Message[] {
    const counts = this.#counts.of(countTokens)
    const messages = history.map((message) => this.#shownOf(message, counts))
    return messages.every((message, index) => message === history[index]) ? history : messages
  }

  #shownOf(message: Message, counts: TokenCounts): Message {
    const { maxTokens, readWith } = this.#options
    // What was read on purpose is not to be read again.
    if (message.role !== 'tool' || message.toolName === readWith) return message
    if (counts.message(message) <= maxTokens) return message
    const known = this.#shown.get(counts) ?? new WeakMap<Message, Message>()
    this.#shown.set(counts, known)
    const shown = known.get(message) ?? this.#inPart(message, counts)
    known.set(message, shown)
    return shown
  }

  #inPart(message: ToolMessage, counts: TokenCounts): ToolMessage {
    const { maxTokens, readWith } = this.#options
    for (let keep = this.#options.keepTokens; ; keep = Math.floor(keep / 2)) {
      const shown = { ...message, content: shortened(message, keep, readWith, counts.text) }
      if (counts.message(shown) <= maxTokens) return shown
      if (keep === 0) return message
    }
  }
}

/** The beginning and the end of a result, and between them what is left out and how to read it. */
function shortened(
  { content, callId }: ToolMessage,
  keepTokens: number,
  readWith: string | null,
  countTokens: TokenCounter,
): string {
  const ofEnd = Math.floor(keepTokens / 3)
  const start = partOf(content, keepTokens - ofEnd, countTokens, firstCodePoints)
  const end = partOf(content.slice(start.length), ofEnd, countTokens, lastCodePoints)
  const [offset, total] = [codePointsOf(start), codePointsOf(content)]
  const left = total - offset - codePointsOf(end)
  const note = `[${left} of ${total} code points are left out here`
  const cure =
    readWith === null
      ? ''
      : `: ${readWith}({ "call": ${JSON.stringify(callId)}, "offset": ${offset} }) reads them`
  return [start, `${note}${cure}]`, end].filter((part) => part !== '').join('\n\n')
}

function partOf(
  text: string,
  maxTokens: number,
  countTokens: TokenCounter,
  cut: (text: string, count: number) => string,
): string {
  const tokens = countTokens(text)
  if (tokens <= maxTokens) return text
  // What a token covers differs from text to text, so the first guess may be too long.
  let count = Math.floor((codePointsOf(text) * maxTokens) / tokens)
  for (; count > 0; count = Math.floor(count * 0.75)) {
    const part = cut(text, count)
    if (countTokens(part) <= maxTokens) return part
  }
  return ''
}
