import { leave } from '../abort.ts'
import type { CallScope } from '../client/client.ts'
import { isTercetError, messageOf, type TercetError, UnexpectedError } from '../errors.ts'
import type { CompactionReport } from '../events.ts'
import type { Compactor } from '../memory/memory.ts'
import type { TokenCounts } from '../memory/tokens.ts'
import { addUsage, type Message, type Usage } from '../messages.ts'
import { compacted } from '../transcript/compacted.ts'
import type { Compaction, CompactionEntry } from '../transcript/entry.ts'
import type { Transcript } from '../transcript/transcript.ts'
import type { Run } from './run.ts'

/** A conversation that is compacted, in a run or by itself. */
export interface CompactionSite {
  readonly transcript: Transcript
  readonly counts: TokenCounts
  readonly scope: CallScope
  readonly signal: AbortSignal
  readonly runId?: string
  /** Writes down what happened, and waits until it is durable. */
  append(entry: CompactionEntry): Promise<void> | undefined
  wait<T>(promise: Promise<T>): Promise<T>
}

/** What a compaction came to, also when it failed half-way. */
export interface Compacted {
  readonly report: CompactionReport
  readonly usage?: Usage
  readonly provider?: string
  readonly model?: string
  /** Why it did not go on. */
  readonly error?: TercetError
}

/**
 * Before a model call: summarises older messages, if there are more than `room` tokens of them, down to half of that. A
 * compaction that fails costs a diagnostic, and whoever fits the request into the window leaves out what is too much.
 */
export async function compactToFit(run: Run, compactor: Compactor, room: number): Promise<void> {
  const { counts } = run.settings
  // Goes on from the request before: this is asked before each model call.
  if (counts.history(run.transcript.compacted()) <= room) return
  const { report, error } = await compactInRun(run, compactor, Math.max(0, Math.floor(room / 2)))
  run.signal.throwIfAborted()
  if (error) run.diagnose('compaction_failed', `The compaction failed: ${error.message}`)
  if (report.tokensAfter <= room) return
  run.diagnose(
    'context_exhausted',
    `The messages are about ${report.tokensAfter} tokens, and there is room for ${Math.max(0, room)}: no more of them can be summarized, so ` +
      'the memory leaves some out. They stay in the transcript.',
  )
}

/** Summarises all that does not have to stay, or what does not fit into `keepTokens`, and tells it. */
export async function compactInRun(run: Run, compactor: Compactor, keepTokens = 0): Promise<Compacted> {
  const { transcript, scope, signal, runId, stepId } = run
  const done = await compact(compactor, keepTokens, {
    transcript,
    counts: run.settings.counts,
    scope,
    signal,
    runId,
    append: (entry) => run.append(entry),
    wait: (promise) => run.wait(promise),
  })
  const { report, error: _, ...cost } = done
  if (report.summaries > 0) run.emit({ type: 'compaction', runId, stepId, ...report, ...cost })
  return done
}

/** @throws What `append` throws. What the compactor throws is in what it came to. */
export async function compact(
  compactor: Compactor,
  keepTokens: number,
  site: CompactionSite,
): Promise<Compacted> {
  const { transcript, counts, scope, signal, runId } = site
  const history = transcript.settled()
  const { compaction: earlier } = transcript
  const tokensBefore = counts.messages(held(earlier, history))
  let tokensAfter = tokensBefore
  let summaries = 0
  let cost: Omit<Compacted, 'report' | 'error'> = {}
  const ended = (error?: TercetError): Compacted => ({
    report: {
      // The summary is one of those that are there now.
      messagesCompacted:
        summaries === 0 ? 0 : held(earlier, history).length - held(transcript.compaction, history).length + 1,
      summaries,
      tokensBefore,
      tokensAfter,
    },
    ...cost,
    ...(error && { error }),
  })
  const task = { history, keepTokens, countTokens: counts.text, scope, signal, ...(earlier && { earlier }) }
  let iterator: AsyncIterator<Compaction> | undefined
  try {
    for (;;) {
      let compaction: Compaction
      try {
        iterator ??= compactor.compact(task)[Symbol.asyncIterator]()
        const { done, value } = await site.wait(iterator.next())
        if (done) return ended()
        compaction = sound(value, history)
      } catch (thrown) {
        return ended(errorOf(thrown))
      }
      const tokens = counts.messages(held(compaction, history))
      if (tokens >= tokensAfter) {
        return ended(new UnexpectedError('The summary is as long as what it stands for, so it was not used.'))
      }
      await site.append({
        type: 'compaction',
        ...(runId !== undefined && { runId }),
        ...compaction,
        tokensBefore: tokensAfter,
        tokensAfter: tokens,
      })
      const { usage, provider, model } = compaction
      // What is told is what was written down.
      cost = {
        ...cost,
        ...(usage && { usage: cost.usage ? addUsage(cost.usage, usage) : usage }),
        ...(provider !== undefined && { provider }),
        ...(model !== undefined && { model }),
      }
      tokensAfter = tokens
      summaries += 1
    }
  } finally {
    if (iterator) leave(iterator)
  }
}

const errorOf = (thrown: unknown): TercetError =>
  isTercetError(thrown) ? thrown : new UnexpectedError(messageOf(thrown), { cause: thrown })

const held = (compaction: Compaction | undefined, history: readonly Message[]) =>
  compaction ? compacted(history, compaction) : history

/** A compactor may be someone else's code, and what it gives is stored and sent. */
function sound(given: Compaction, history: readonly Message[]): Compaction {
  const { from, to, kept = [], summary, usage, provider, model } = given
  const isInside = (index: number) => Number.isSafeInteger(index) && index >= from && index <= to
  const isOrdered = kept.every((index, at) => isInside(index) && index < to && index > (kept[at - 1] ?? -1))
  const isWhole = [from, to].every((index) => history[index]?.role !== 'tool')
  const isSound = from >= 0 && isInside(from) && isInside(to) && to <= history.length && isOrdered && isWhole
  if (!isSound || typeof summary !== 'string' || summary.trim() === '') {
    throw new UnexpectedError(
      'The compactor gave no compaction: from and to have to be positions between exchanges, kept some in between, and summary a text.',
    )
  }
  return {
    from,
    to,
    ...(kept.length > 0 && { kept: [...kept] }),
    summary,
    ...(usage && { usage }),
    ...(provider !== undefined && { provider }),
    ...(model !== undefined && { model }),
  }
}
