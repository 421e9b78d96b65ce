import { untilAborted } from '../abort.ts'
import type { CallScope } from '../client/client.ts'
import { BudgetExceededError, type BudgetLimit, messageOf, StoreError } from '../errors.ts'
import { systemRuntime } from '../runtime.ts'
import type { BudgetAmounts, BudgetLedger, BudgetOptions, BudgetState } from './budget-options.ts'
import { nanoPerUsd } from './prices.ts'

export const nothing: BudgetAmounts = { nanoUsd: 0, tokens: 0, calls: 0, toolCalls: 0 }

/** The accounts of a budget: one for each that it is kept per, and a new one for each window. */
export class Accounts {
  readonly #options: BudgetOptions
  readonly #terms: Terms
  readonly #accounts = new Map<string, Account>()

  constructor(options: BudgetOptions) {
    const { usd, tokens, calls, toolCalls, wallMs, ledger, runtime = systemRuntime } = options
    this.#options = options
    this.#terms = {
      most: {
        ...(usd !== undefined && { nanoUsd: Math.round(usd * nanoPerUsd) }),
        ...(tokens !== undefined && { tokens }),
        ...(calls !== undefined && { calls }),
        ...(toolCalls !== undefined && { toolCalls }),
      },
      wallMs,
      ledger,
      now: () => runtime.now(),
    }
  }

  of(scope: Partial<CallScope>): Account {
    const name = this.#nameOf(scope)
    const window = this.#window()
    const key = name + window.mark
    const known = this.#accounts.get(name)
    const account =
      known?.key === key
        ? known
        : new Account(key, this.#terms, this.#options.initialState?.[key], window.end)
    // Last again, so that those nobody has asked for longest come first.
    this.#accounts.delete(name)
    this.#accounts.set(name, account)
    if (this.#accounts.size > mostKept) this.#forgetOne()
    return account
  }

  toJSON(): Record<string, BudgetAmounts> {
    const { mark } = this.#window()
    const known = [...this.#accounts.values()].map(({ key, total }): [string, BudgetAmounts] => [key, total])
    const all = [...Object.entries(this.#options.initialState ?? {}), ...known]
    return Object.fromEntries(all.filter(([key]) => key.endsWith(mark)))
  }

  #nameOf({ runId, conversationId, agent, principal }: Partial<CallScope>): string {
    const { per = 'all' } = this.#options
    const ids = { all: '', run: runId, conversation: conversationId, agent, principal }
    return `${per}/${ids[per] ?? ''}`
  }

  #window(): { readonly mark: string; readonly end?: number } {
    const { windowMs } = this.#options
    if (windowMs === undefined) return { mark: '' }
    const index = Math.floor(this.#terms.now() / windowMs)
    return { mark: `@${windowMs}/${index}`, end: (index + 1) * windowMs }
  }

  /** The one nobody has asked for longest: its run is over, or the ledger remembers. */
  #forgetOne(): void {
    const { per, ledger } = this.#options
    if (per !== 'run' && !ledger) return
    for (const [name, account] of this.#accounts) {
      if (!account.isIdle) continue
      this.#accounts.delete(name)
      return
    }
  }
}

// Of runs, that is: far more than are under way at once.
const mostKept = 10_000

interface Terms {
  readonly most: Partial<BudgetAmounts>
  readonly wallMs: number | undefined
  readonly ledger: BudgetLedger | undefined
  readonly now: () => number
}

/** What was spent, and what is reserved. All numbers are whole, so that sums are exact in whatever order. */
export class Account {
  readonly key: string
  readonly #terms: Terms
  readonly #refillsAt: number | undefined
  /** With what is reserved. */
  #total: BudgetAmounts
  #reserved = nothing
  #startedAt: number | undefined
  #isIncomplete = false

  constructor(key: string, terms: Terms, total = nothing, refillsAt?: number) {
    this.key = key
    this.#terms = terms
    this.#total = total
    this.#refillsAt = refillsAt
  }

  get total(): BudgetAmounts {
    return this.#total
  }

  get isIdle(): boolean {
    return isNothing(this.#reserved)
  }

  remaining(): BudgetState {
    return this.#state((amount, most) => Math.max(0, most - this.#total[amount]), this.#msLeft())
  }

  spent(): BudgetState {
    const { wallMs = 0 } = this.#terms
    const { usd, ...rest } = this.#state((amount) => this.#settled(amount), wallMs - this.#msLeft())
    return { ...(usd !== undefined && !this.#isIncomplete && { usd }), ...rest }
  }

  /** The limit of which this part is spent, if there is one. */
  low(part: number): BudgetExceededError | undefined {
    const { most, wallMs } = this.#terms
    const amount = amounts.find((each) => {
      const limit = most[each]
      return limit !== undefined && this.#settled(each) >= limit * part
    })
    if (amount) return this.refusal(limitOf[amount])
    const isLate = wallMs !== undefined && wallMs - this.#msLeft() >= wallMs * part
    return isLate ? this.refusal('wallMs') : undefined
  }

  /** Why something is refused: `asked` is more than what is left, or nobody knows the price of a model. */
  refusal(limit: BudgetLimit, { asked, unpriced }: Refused = {}): BudgetExceededError {
    const refillsAt = this.#refillsAt
    const { [limit]: most = 0 } = this.#state((_, whole) => whole, this.#terms.wallMs ?? 0)
    const { [limit]: remaining = 0 } = this.remaining()
    const message =
      unpriced === undefined
        ? `Of the budget of ${most} (${limit}), ${remaining} is left${consequence(limit, asked)}`
        : `The price of "${unpriced}" is not known, so it is not called on a budget in USD. Give its price in prices, ` +
          "install @pydantic/genai-prices, or set unknownPrice: 'ignore'."
    return new BudgetExceededError(message, {
      limit,
      most,
      remaining,
      ...(asked !== undefined && { asked }),
      ...(refillsAt !== undefined && { refillsAt }),
    })
  }

  /** Milliseconds until its time is over, which begins to run now if it has not yet. */
  start(): number {
    this.#startedAt ??= this.#terms.now()
    return this.#msLeft()
  }

  /**
   * Takes all of `asked`, or nothing.
   *
   * @throws BudgetExceededError if it is more than what is left; StoreError when the ledger fails.
   */
  async take(asked: BudgetAmounts, signal: AbortSignal | undefined): Promise<void> {
    const { ledger, wallMs } = this.#terms
    const most = limitsOn(asked, this.#terms.most)
    if (wallMs !== undefined && this.start() <= 0) throw this.refusal('wallMs')
    // Without a ledger nothing is waited for between the look and the taking.
    const sum = ledger ? await this.#addIn(ledger, asked, most, signal) : sumWithin(this.#total, asked, most)
    if (!sum) {
      if (ledger) await this.refresh()
      const all = amounts.filter((each) => most[each] !== undefined)
      const amount = all.find((each) => !isWithin(this.#total[each] + asked[each], most[each])) ?? all[0]
      throw this.refusal(limitOf[amount ?? 'calls'], { asked: shownAs(amount ?? 'calls', asked) })
    }
    this.#total = sum
    this.#reserved = plus(this.#reserved, asked)
  }

  /** What was taken came to `spent`, which may be more. */
  async settle(taken: BudgetAmounts, spent: BudgetAmounts): Promise<void> {
    const { ledger } = this.#terms
    const change = plus(spent, taken, -1)
    this.#reserved = plus(this.#reserved, taken, -1)
    this.#total = plus(this.#total, change)
    // It was paid for, whether the ledger learns of it or not: it then keeps what was reserved.
    if (!ledger || isNothing(change)) return
    await this.#addIn(ledger, change, undefined, undefined).catch(() => {})
  }

  /** A call was made whose price nobody knows. */
  forgoCost(): void {
    this.#isIncomplete = true
  }

  async refresh(): Promise<void> {
    const { ledger } = this.#terms
    if (!ledger) return
    this.#total = (await this.#addIn(ledger, nothing, undefined, undefined)) ?? this.#total
  }

  async #addIn(
    ledger: BudgetLedger,
    change: BudgetAmounts,
    most: Partial<BudgetAmounts> | undefined,
    signal: AbortSignal | undefined,
  ): Promise<BudgetAmounts | undefined> {
    const adding = ledger.add(this.key, change, most)
    try {
      return await (signal ? untilAborted(adding, signal) : adding)
    } catch (error) {
      if (!signal?.aborted) {
        throw new StoreError(`The ledger of a budget failed: ${messageOf(error)}`, { cause: error })
      }
      // What is taken after all, for a call that is not made, is given back.
      const giveBack = async () => (await adding) && ledger.add(this.key, plus(nothing, change, -1))
      giveBack().catch(() => {})
      throw error
    }
  }

  #settled(amount: Amount): number {
    return this.#total[amount] - this.#reserved[amount]
  }

  #msLeft(): number {
    const { wallMs = Number.POSITIVE_INFINITY, now } = this.#terms
    return this.#startedAt === undefined ? wallMs : Math.max(0, this.#startedAt + wallMs - now())
  }

  /** Something of each limit that there is. */
  #state(of: (amount: Amount, most: number) => number, wallMs: number): BudgetState {
    const { most } = this.#terms
    const entries = amounts.flatMap((amount): [BudgetLimit, number][] => {
      const limit = most[amount]
      if (limit === undefined) return []
      const value = of(amount, limit)
      return [[limitOf[amount], amount === 'nanoUsd' ? value / nanoPerUsd : value]]
    })
    const state: BudgetState = Object.fromEntries(entries)
    return { ...state, ...(this.#terms.wallMs !== undefined && { wallMs }) }
  }
}

interface Refused {
  readonly asked?: number
  readonly unpriced?: string
}

function consequence(limit: BudgetLimit, asked: number | undefined): string {
  if (asked === undefined) return '. What was done is kept: go on with a larger budget.'
  const isReserved = limit === 'usd' || limit === 'tokens'
  const cure = isReserved ? ', or lower maxOutputTokens, which is reserved whole' : ''
  return `; a call was not begun because it may take ${asked}. Raise the budget${cure}.`
}

type Amount = keyof BudgetAmounts

const amounts = ['nanoUsd', 'tokens', 'calls', 'toolCalls'] as const

const limitOf = { nanoUsd: 'usd', tokens: 'tokens', calls: 'calls', toolCalls: 'toolCalls' } as const

/** The limits on what is asked for: one that is used up by more than it was stands in the way of nothing else. */
function limitsOn(asked: BudgetAmounts, most: Partial<BudgetAmounts>): Partial<BudgetAmounts> {
  return Object.fromEntries(Object.entries(most).filter(([amount]) => asked[amount as Amount] > 0)) // it has no others
}

const isWithin = (sum: number, most: number | undefined): boolean => most === undefined || sum <= most

const shownAs = (amount: Amount, asked: BudgetAmounts): number =>
  amount === 'nanoUsd' ? asked.nanoUsd / nanoPerUsd : asked[amount]

const isNothing = (of: BudgetAmounts): boolean => amounts.every((amount) => of[amount] === 0)

function plus(a: BudgetAmounts, b: BudgetAmounts, sign: 1 | -1 = 1): BudgetAmounts {
  return {
    nanoUsd: a.nanoUsd + sign * b.nanoUsd,
    tokens: a.tokens + sign * b.tokens,
    calls: a.calls + sign * b.calls,
    toolCalls: a.toolCalls + sign * b.toolCalls,
  }
}

function sumWithin(
  a: BudgetAmounts,
  b: BudgetAmounts,
  most: Partial<BudgetAmounts>,
): BudgetAmounts | undefined {
  const sum = plus(a, b)
  return amounts.every((amount) => isWithin(sum[amount], most[amount])) ? sum : undefined
}
