import { ConflictError } from '../../src/errors.ts'
import { user } from '../../src/messages.ts'
import type { Entry } from '../../src/transcript/entry.ts'
import type { ConversationStore } from '../../src/transcript/store.ts'

/** Where a store keeps its conversations. */
export type Place = { readonly path: string } | { readonly connectionString: string }

export const ids = ['a', 'b', 'c', 'd'] as const

export interface Outcome {
  readonly conflicts: number
  /** What failed otherwise. */
  readonly failures: readonly string[]
}

/** Appends `count` times to each of the conversations: two entries at once, after reading what others wrote. */
export async function write(store: ConversationStore, name: string, count: number): Promise<Outcome> {
  const failures: string[] = []
  const versions = new Map<string, number>()
  let conflicts = 0
  for (let done = 0; done < count && failures.length === 0; done++) {
    for (const id of ids) {
      for (;;) {
        const known = versions.get(id) ?? 0
        const version = known + (await store.read(id, known)).length
        try {
          versions.set(id, await store.append(id, version, written(name, done)))
          break
        } catch (error) {
          if (error instanceof ConflictError) conflicts++
          else {
            failures.push(String(error))
            break
          }
        }
      }
    }
  }
  return { conflicts, failures }
}

/** What a writer writes at once. */
export function written(name: string, index: number): readonly Entry[] {
  return ['first', 'second'].map((half) => ({ type: 'message', message: user(`${name} ${index} ${half}`) }))
}
