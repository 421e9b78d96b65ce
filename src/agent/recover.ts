import pLimit from 'p-limit'
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

/** Resumes what a crash left in `store`, by `resume`. Gives what each came to, in the order of the ids. */
export async function recoverRuns<Answer>(
  store: ConversationStore,
  options: RecoverOptions,
  now: number,
  resume: (conversationId: string, options: PartOptions) => Promise<RunResult<Answer>>,
): Promise<RunResult<Answer>[]> {
  const { concurrency = 4, idleMs = 0, ...rest } = options
  await store.init()
  const left = await store.list({ unfinished: true })
  const isIdle = ({ updatedAt }: ConversationInfo) => updatedAt === undefined || now - updatedAt >= idleMs
  const limit = pLimit(concurrency)
  return Promise.all(left.filter(isIdle).map(({ id }) => limit(() => resume(id, rest))))
}
