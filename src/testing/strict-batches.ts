import type { JsonObject } from '../json.ts'
import type {
  AccountRules,
  Dialect,
  Failure,
  Headers,
  Refusal,
  StrictReply,
  StrictTurn,
} from './strict-contract.ts'
import { failureOf, isFailure } from './strict-faults.ts'

/** What the endpoints of batches need of the provider that they are part of. */
export interface BatchHost {
  readonly rules: AccountRules
  readonly keys: readonly string[] | undefined
  /** How often a batch is looked at before it has ended. */
  readonly polls: number
  /** What the model says to one request of a batch. */
  turn(body: JsonObject, headers: Headers): StrictTurn
  body(reply: StrictReply, request: JsonObject): JsonObject
  /** Remembers why a request of a batch was not served. */
  refused(refusal: Refusal): void
}

/** A request for what is not a single call, as it arrived. */
export interface BatchRequest {
  readonly method: string
  readonly path: string
  readonly headers: Headers
  readonly text: string | undefined
}

/** An object, lines of results, or why there is neither. */
export type BatchAnswer =
  | { readonly object: JsonObject }
  | { readonly lines: readonly JsonObject[] }
  | Refusal

/** What one request of a batch comes to. */
export type ItemOutcome = { readonly body: JsonObject } | { readonly failure: Failure } | 'expired'

/** Each is checked as a single call is, and takes a turn of the script. */
export function outcomeOf(
  body: JsonObject,
  headers: Headers,
  dialect: Dialect,
  host: BatchHost,
): ItemOutcome {
  const refusal = dialect.validate(body, host.rules, headers)
  if (refusal !== undefined) {
    host.refused(refusal)
    return { failure: refusal }
  }
  const turn = host.turn(body, headers)
  if ('status' in turn) {
    const { status, body: said } = turn
    const error = typeof said === 'object' ? said : dialect.errorBody(said ?? `Scripted error ${status}.`)
    return { failure: { status, body: error } }
  }
  if (!('fault' in turn)) return { body: host.body(turn, body) }
  if (turn.fault === 'expired') return 'expired'
  if (isFailure(turn)) return { failure: failureOf(turn, dialect, body) }
  throw new Error(`Nothing in a batch can be "${turn.fault}": that is for single calls.`)
}

/** How far a batch is: each look finds it a step further. */
export class BatchProgress {
  readonly #polls: number
  readonly #count: number
  #looks = 0
  /** Requests that were done when it was canceled. */
  #doneAtCancel: number | undefined
  #looksSinceCancel = 0

  constructor(count: number, polls: number) {
    this.#count = count
    this.#polls = polls
  }

  look(): void {
    if (this.#doneAtCancel === undefined) this.#looks += 1
    else this.#looksSinceCancel += 1
  }

  cancel(): void {
    this.#doneAtCancel ??= this.done
  }

  get wasCanceled(): boolean {
    return this.#doneAtCancel !== undefined
  }

  get hasEnded(): boolean {
    return this.wasCanceled ? this.#looksSinceCancel > 0 : this.#looks > this.#polls
  }

  /** So many requests are done, from the first. */
  get done(): number {
    const share = Math.min(1, this.#looks / (this.#polls + 1))
    return this.#doneAtCancel ?? Math.floor(this.#count * share)
  }

  get phase(): 'waiting' | 'working' | 'closing' {
    if (this.#looks === 0) return 'waiting'
    return this.#looks === this.#polls && this.#polls > 1 ? 'closing' : 'working'
  }
}
