import type { CallScope, ClientMiddleware } from '../client/client.ts'
import type { BudgetExceededError } from '../errors.ts'
import type { TokenCounter } from '../memory/memory.ts'
import type { Runtime } from '../runtime.ts'
import type { ModelPrice, Prices } from './prices.ts'

/** Every limit that is given holds: `usd`, `tokens`, `calls`, `toolCalls`, `wallMs`. */
export interface BudgetOptions {
  /** At most 1,000,000. */
  readonly usd?: number
  /** Input and output together. */
  readonly tokens?: number
  /** Model calls, also those that failed. */
  readonly calls?: number
  readonly toolCalls?: number
  /** Milliseconds of the clock, from the first use on. */
  readonly wallMs?: number
  /** From which part of a limit on a run with `onLimit: 'land'` lands. Default: 0.8. */
  readonly softAt?: number
  /**
   * What becomes, with `usd`, of a call of a model whose price nobody knows. `deny` (the default): it is refused.
   * `ignore`: it is free of charge. A price: it is charged by it.
   */
  readonly unknownPrice?: 'deny' | 'ignore' | ModelPrice
  /** Your own prices, which come before those of the package `@pydantic/genai-prices`. Default: none. */
  readonly prices?: Prices
  /**
   * Output tokens reserved for a call that does not say how many it may have, when its client does not say either.
   * Default: 4,096. The model is not told: a call that has no limit can take more than was reserved.
   */
  readonly maxOutputTokens?: number
  /** Counts a prompt before it is sent. Default: one token for every four code points. */
  readonly countTokens?: TokenCounter
  /**
   * Who shares the limits: all calls that go through this budget, or those of one run, conversation, agent (by its name) or
   * principal. Default: `'all'`. Calls that have no such thing, such as those without a principal, share theirs.
   */
  readonly per?: 'all' | 'run' | 'conversation' | 'agent' | 'principal'
  /** A new budget every so many milliseconds, counted from the epoch. Default: never. */
  readonly windowMs?: number
  /** Shares the budget with other processes. Default: this one keeps it by itself. */
  readonly ledger?: BudgetLedger
  /** What `toJSON()` of an earlier budget gave; not with a `ledger`. Default: nothing was spent. */
  readonly initialState?: Readonly<Record<string, BudgetAmounts>>
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now' | 'sleep'>
}

/** What was spent under one key. Whole numbers; a nano-dollar is 10⁻⁹ USD. */
export interface BudgetAmounts {
  readonly nanoUsd: number
  readonly tokens: number
  readonly calls: number
  readonly toolCalls: number
}

/** Where several processes keep what they spend together. */
export interface BudgetLedger {
  /**
   * Adds `amounts`, which may be negative or 0, to what stands under `key` (at first nothing), and gives the sum. With `most`:
   * only if no part of the sum is then above it; otherwise nothing is added, and `undefined` is given. All in one step, as far
   * as other processes can see.
   */
  add(key: string, amounts: BudgetAmounts, most?: Partial<BudgetAmounts>): Promise<BudgetAmounts | undefined>
}

/** Of each limit that was given. Money is USD. */
export type BudgetState = { readonly [Limit in 'usd' | 'tokens' | 'calls' | 'toolCalls' | 'wallMs']?: number }

/** A middleware that spends no more than it may, and can be asked. What is not said of the scope counts as empty. */
export interface Budget extends ClientMiddleware {
  /**
   * What is left, less what is reserved by calls under way; never below 0. With a ledger: as this process last saw it.
   */
  remaining(scope?: Partial<CallScope>): BudgetState
  /**
   * What was spent, without what calls under way have reserved. `usd` is left out once a call was ignored whose price nobody
   * knows: what is left would look like all of it.
   */
  spent(scope?: Partial<CallScope>): BudgetState
  /** Asks the ledger what others have spent. Nothing to do without one. */
  refresh(scope?: Partial<CallScope>): Promise<void>
  /** @throws BudgetExceededError if no further tool call may be made; it must not be begun then. */
  takeToolCall(scope?: Partial<CallScope>, signal?: AbortSignal): Promise<void>
  /** The limit of which so much is spent that it is time to end, if there is one. */
  low(scope?: Partial<CallScope>): BudgetExceededError | undefined
  /** Begins to count `wallMs`, if nothing has yet, and resolves with the error when they are over; `undefined` without them. */
  timeUp(scope: Partial<CallScope>, signal: AbortSignal): Promise<BudgetExceededError | undefined>
  /** What was spent under each key, also what calls under way have reserved: the `initialState` of another budget. */
  toJSON(): Readonly<Record<string, BudgetAmounts>>
}
