import { Buffer } from 'node:buffer'
import { CorruptEntryError, StoreError } from '../errors.ts'
import type { Entry } from '../transcript/entry.ts'
import {
  type ConversationInfo,
  type ConversationQuery,
  type ConversationRunState,
  isAskedFor,
} from '../transcript/store.ts'
import type { EntryPlace } from '../transcript/stored-entry.ts'

/**
 * What a database knows a conversation by: its id in UTF-16, big-endian. It is exact for any id, also one with U+0000 or
 * half of a surrogate pair, which no text column keeps, and its bytes sort as `list` does.
 */
export function keyOf(id: string): Uint8Array {
  return Buffer.from(id, 'utf16le').swap16()
}

export function idOf(key: Uint8Array): string {
  return Buffer.from(key).swap16().toString('utf16le')
}

const states: readonly ConversationRunState[] = ['ended', 'unfinished', 'suspended']

/** The states of the conversations that `query` wants. */
export function statesAskedFor(query: ConversationQuery): readonly ConversationRunState[] {
  return states.filter((state) => isAskedFor(state, query))
}

/** A conversation as a database lists it. */
export interface ConversationRow {
  readonly key: Uint8Array
  readonly version: number
  readonly state: ConversationRunState
  readonly updatedAt: number
}

/** @throws StoreError for what is no such row: a damaged database can give anything back. */
export function infoOf({ key, version, state, updatedAt }: ConversationRow): ConversationInfo {
  if (!(key instanceof Uint8Array)) throw damaged()
  checkVersion(version)
  return { id: idOf(key), version, state, updatedAt }
}

/** An entry as a database gives it back, beside the version of its conversation. Null: there is none in the range. */
export interface EntryRow {
  readonly version: number
  readonly position: number | null
  readonly entry: string | null
}

/**
 * The entries from `from` on and before `to`, of the rows of that range in the order of their positions.
 *
 * @throws CorruptEntryError for the first that is missing or one too many, and whatever `decode` throws; StoreError if the
 *   database does not even know how many there are.
 */
export function entriesOf<Row extends EntryRow>(
  rows: readonly Row[],
  range: { readonly id: string; readonly from: number; readonly to: number | undefined },
  decode: (row: Row & { readonly entry: string }, place: EntryPlace) => Entry,
): readonly Entry[] {
  const { id: conversationId, from, to = Number.POSITIVE_INFINITY } = range
  if (rows[0]) checkVersion(rows[0].version)
  const end = Math.min(to, rows[0]?.version ?? 0)
  const entries: Entry[] = []
  for (let position = from; position < end; position++) {
    const row = rows[position - from]
    const place = { conversationId, position }
    if (row?.position !== position || typeof row.entry !== 'string') {
      throw new CorruptEntryError(place, 'it is missing')
    }
    entries.push(decode({ ...row, entry: row.entry }, place))
  }
  const beyond = rows[entries.length]?.position
  if (end < to && typeof beyond === 'number') {
    throw new CorruptEntryError({ conversationId, position: beyond }, 'its conversation ends before it')
  }
  return entries
}

function checkVersion(version: number): void {
  if (!Number.isSafeInteger(version) || version < 1) throw damaged()
}

function damaged(): StoreError {
  return new StoreError(
    'The database is damaged: what it knows of a conversation cannot be read. Restore it from a copy.',
  )
}
