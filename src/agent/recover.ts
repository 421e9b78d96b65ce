import pLimit from 'p-limit'
import { isTercetError, messageOf, StoreError } from '../errors.ts'
import type { RunResult } from '../events.ts'
import type { ConversationInfo, ConversationStore } from '../transcript/store.ts'
import type { PartOptions } from './options.ts'

export interface RecoverOptions extends PartOptions {
  /** Runs that are resumed at once. Default 4. */
  readonly concurrency?: number
  /**
   * Only conversations to which nothing was appended for so many milliseconds, where the store knows. A run that is under
   * way in another process is taken over by being resumed here: it loses with a `ConflictError`. Default 0.
   */
  readonly idleMs?: number
}

/** Resumes what a crash left in `store`, and not what is running here. Gives what each came to, in the order of the ids. */
export async function recoverRuns<Answer>(
  store: ConversationStore,
  options: RecoverOptions,
  now: number,
  runs: {
    readonly isRunning: (conversationId: string) => boolean
    readonly resume: (conversationId: string, options: PartOptions) => Promise<RunResult<Answer>>
  },
): Promise<RunResult<Answer>[]> {
  const { concurrency = 4, idleMs = 0, ...rest } = options
  const left = await unfinishedIn(store)
  const isIdle = ({ updatedAt }: ConversationInfo) => updatedAt === undefined || now - updatedAt >= idleMs
  const limit = pLimit(concurrency)
  const isLeft = (info: ConversationInfo) => isIdle(info) && !runs.isRunning(info.id)
  const recovered = left
    .filter(isLeft)
    // Asked again: somebody may have gone on with it while others had their turn.
    .map(({ id }) => limit(async () => (runs.isRunning(id) ? [] : [await runs.resume(id, rest)])))
  return (await Promise.all(recovered)).flat()
}

async function unfinishedIn(store: ConversationStore): Promise<readonly ConversationInfo[]> {
  try {
    await store.init()
    const left: unknown = await store.list({ unfinished: true })
    if (!Array.isArray(left)) throw new TypeError('list() gave no array of conversations')
    return left
  } catch (error) {
    if (isTercetError(error)) throw error
    throw new StoreError(
      `The store could not list its conversations: ${messageOf(error)}. Mend it and recover again.`,
      { cause: error },
    )
  }
}
