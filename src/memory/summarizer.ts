import { linkedController, untilAborted } from '../abort.ts'
import type { CallScope, LLMResponse } from '../client/client.ts'
import { clientError, isLLMError } from '../client/thrown.ts'
import { LLMError, type LLMErrorKind } from '../errors.ts'
import { addUsage, type Message, noUsage, textOf, type Usage, user } from '../messages.ts'
import { cutLongest } from './cut.ts'
import type { SummarizerSettings } from './summarizer-options.ts'
import type { TokenCounts } from './tokens.ts'

export interface SummarizerContext {
  readonly counts: TokenCounts
  readonly signal: AbortSignal
  readonly scope?: CallScope
}

/** A summary of all that came before it. */
export interface Fold {
  /** How many of the groups of messages it covers, from the first on. */
  readonly groups: number
  readonly summary: string
  /** Since the fold before, also of summaries that could not be used. */
  readonly usage: Usage
}

/** How often a model is asked for a summary of the same messages. */
const attempts = 2

/** Chunks are halved so often, at most, when the model cannot take them. */
const mostHalvings = 4

/**
 * Summarises any number of messages with a model that sees only so many of them at once: chunk by chunk, each together with
 * the summary so far. Groups of messages are never torn; one that is too long for a chunk has its longest texts cut.
 *
 * A summary is proved to be one: it is there, whole, and shorter than what it stands for.
 *
 * @throws LLMError, or the signal's reason.
 */
export async function* summarize(
  groups: readonly (readonly Message[])[],
  earlier: string | undefined,
  settings: SummarizerSettings,
  context: SummarizerContext,
): AsyncGenerator<Fold> {
  let summary = earlier
  let limit = settings.chunkTokens
  let spent = noUsage
  const spend = (usage: Usage) => {
    spent = addUsage(spent, usage)
  }
  for (let done = 0, halvings = 0; done < groups.length; ) {
    const chunk = chunkOf(groups.slice(done), limit, context.counts)
    try {
      summary = await summaryOf(chunk.flat(), summary, { ...settings, chunkTokens: limit }, context, spend)
    } catch (error) {
      context.signal.throwIfAborted()
      if (!isTooMuch(error) || ++halvings > mostHalvings) throw error
      limit = Math.ceil(limit / 2)
      continue
    }
    done += chunk.length
    yield { groups: done, summary, usage: spent }
    spent = noUsage
  }
}

/** As many groups as fit, and at least one. */
function chunkOf(
  groups: readonly (readonly Message[])[],
  limit: number,
  counts: TokenCounts,
): readonly (readonly Message[])[] {
  let tokens = 0
  const end = groups.findIndex((group, index) => {
    tokens += counts.messages(group)
    return index > 0 && tokens > limit
  })
  return end < 0 ? groups : groups.slice(0, end)
}

const tooMuch: ReadonlySet<LLMErrorKind> = new Set<LLMErrorKind>(['context_length', 'timeout', 'stalled'])

/** Less might go well. */
const isTooMuch = (error: unknown) => isLLMError(error) && tooMuch.has(error.kind)

async function summaryOf(
  messages: readonly Message[],
  earlier: string | undefined,
  settings: SummarizerSettings,
  context: SummarizerContext,
  spend: (usage: Usage) => void,
): Promise<string> {
  const { client, maxSummaryTokens } = settings
  const { counts } = context
  const given = counts.messages(messages) + counts.text(earlier ?? '')
  const material = written(messages, earlier, settings.chunkTokens, counts)
  // A word is somewhat more than a token.
  const words = Math.max(10, Math.floor(Math.min(maxSummaryTokens, given / 2) * 0.7))
  let problem = ''
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const asked = `${material}\n\n${problem}Write the summary that takes the place of all of the above, in at most ${words} words.`
    const response = await asking(asked, settings, context)
    spend(usageOf(response, asked, settings, counts))
    const summary = response.text.trim()
    const tokens = counts.text(summary)
    if (response.stopReason === 'refusal' || response.stopReason === 'content_filter') break
    const isWhole = response.stopReason !== 'length' && tokens < given && tokens <= maxSummaryTokens * 2
    if (summary !== '' && isWhole) return summary
    problem =
      summary === '' ? 'Your last summary was empty. ' : 'Your last summary was too long: leave more out. '
  }
  throw new LLMError(
    `${client.provider} (${client.model}) gave no summary that is shorter than the ${messages.length} messages it stands for. ` +
      'Use another client for compaction, or mend its prompt.',
    { kind: 'malformed', provider: client.provider, model: client.model },
  )
}

async function asking(
  text: string,
  { client, prompt, maxSummaryTokens, timeoutMs, runtime }: SummarizerSettings,
  { signal, scope }: SummarizerContext,
): Promise<LLMResponse> {
  const { controller, unlink } = linkedController(signal)
  const timer = new AbortController()
  runtime.sleep(timeoutMs, timer.signal).then(
    () => {
      const { provider, model } = client
      const message = `${provider} (${model}) took longer than ${timeoutMs} ms for a summary. Raise timeoutMs, or use a faster model.`
      controller.abort(new LLMError(message, { kind: 'timeout', provider, model }))
    },
    () => {},
  )
  const request = {
    system: prompt,
    messages: [user(text)],
    // Room to say too much, which is then seen.
    params: { maxOutputTokens: maxSummaryTokens * 2 },
  }
  try {
    const response = await untilAborted(
      client.call(request, { signal: controller.signal, ...(scope && { scope }) }),
      controller.signal,
    )
    if (typeof response?.text === 'string') return response
    throw new TypeError('it gave no text')
  } catch (error) {
    // Its time was up.
    if (controller.signal.aborted) throw controller.signal.reason
    throw clientError(error, client)
  } finally {
    timer.abort('over')
    unlink()
  }
}

function usageOf(
  { usage, text }: LLMResponse,
  asked: string,
  { prompt }: SummarizerSettings,
  counts: TokenCounts,
): Usage {
  if (usage) return usage
  const inputTokens = counts.text(prompt) + counts.text(asked)
  return { inputTokens, outputTokens: counts.text(text), estimated: true }
}

/** What the model reads: no longer than about `limit`, whatever the messages are. */
function written(
  messages: readonly Message[],
  earlier: string | undefined,
  limit: number,
  counts: TokenCounts,
): string {
  const lines = messages.flatMap((message) => linesOf(message).map((line) => user(line)))
  const cut = cutLongest(lines, counts, { limit, keep: 'start', mayCut: () => true })
  const said = cut.map(({ content }) => content).join('\n\n')
  const before = earlier === undefined ? '' : `<summary_so_far>\n${earlier}\n</summary_so_far>\n\n`
  return `${before}<conversation>\n${said}\n</conversation>`
}

function linesOf(message: Message): string[] {
  switch (message.role) {
    case 'system':
      return [`Note: ${message.content}`]
    case 'user': {
      const { content } = message
      const others = typeof content === 'string' ? [] : content.filter(({ type }) => type !== 'text')
      return [`User: ${textOf(content)}${others.map(({ type }) => ` [${type}]`).join('')}`]
    }
    case 'assistant': {
      const { content, plan, toolCalls = [] } = message
      return [
        ...(plan === undefined ? [] : [`Assistant plans: ${plan}`]),
        ...(content.trim() === '' ? [] : [`Assistant: ${content}`]),
        ...toolCalls.map(
          ({ toolName, parameters }) => `Assistant calls ${toolName}: ${JSON.stringify(parameters)}`,
        ),
      ]
    }
    case 'tool':
      return [`${message.ok ? 'Result' : 'Failure'} of ${message.toolName}: ${message.content}`]
  }
}
