import type { CallOptions, LLMClient, LLMRequest, LLMResponse } from '../client/client.ts'
import { clientError, isLLMError, unreadKinds } from '../client/thrown.ts'
import { ConfigurationError, isTercetError } from '../errors.ts'
import { TokenCounts } from '../memory/tokens.ts'
import { assistant, type Usage } from '../messages.ts'
import {
  type Check,
  checkOptions,
  fn,
  integer,
  number,
  object,
  oneOf,
  optional,
  positiveMs,
} from '../options.ts'
import { runtimeCheck, systemRuntime } from '../runtime.ts'
import { Accounts, nothing } from './budget-account.ts'
import type { Budget, BudgetAmounts, BudgetOptions } from './budget-options.ts'
import { type Meter, metered } from './metered.ts'
import { type ModelPrice, nanoPerUsd, priceCheck, pricesCheck, recordOf } from './prices.ts'
import { isCountable, mostTokens, nanoCostOf, PriceList, withCost } from './pricing.ts'

/**
 * Limits what is spent on model calls and tool calls. The most that a call can be expected to cost is reserved before it is
 * sent, and settled by what it reports: so calls at the same time never spend together what only one of them could have. A
 * call that does not fit is refused with a `BudgetExceededError`, and nothing is sent. One value may be given to any number of
 * clients and agents: they share it.
 *
 * @throws ConfigurationError
 */
export function budget(options: BudgetOptions): Budget {
  checkOptions('budget', options, budgetChecks())
  if (options.ledger && options.initialState) {
    throw new ConfigurationError(
      'initialState',
      'budget option initialState is not for a budget with a ledger: the ledger knows what was spent.',
    )
  }
  const { softAt = 0.8, wallMs, runtime = systemRuntime } = options
  const accounts = new Accounts(options)
  const open = opener(options, accounts)
  const methods: Pick<Budget, keyof Budget> = {
    remaining: (scope = {}) => accounts.of(scope).remaining(),
    spent: (scope = {}) => accounts.of(scope).spent(),
    refresh: (scope = {}) => accounts.of(scope).refresh(),
    takeToolCall: async (scope = {}, signal) => {
      const taken = { ...nothing, toolCalls: 1 }
      const account = accounts.of(scope)
      await account.take(taken, signal)
      await account.settle(taken, taken)
    },
    low: (scope = {}) => accounts.of(scope).low(softAt),
    timeUp: async (scope, signal) => {
      if (wallMs === undefined) return undefined
      const account = accounts.of(scope)
      for (let left = account.start(); left > 0; left = account.start()) await runtime.sleep(left, signal)
      return account.refusal('wallMs')
    },
    toJSON: () => accounts.toJSON(),
  }
  return Object.assign(
    (next: LLMClient) => metered(next, (request, callOptions) => open(next, request, callOptions)),
    methods,
  )
}

type Opener = (client: LLMClient, request: LLMRequest, options: CallOptions | undefined) => Promise<Meter>

function opener(options: BudgetOptions, accounts: Accounts): Opener {
  const { usd, unknownPrice = 'deny', maxOutputTokens = 4096 } = options
  const counts = new TokenCounts(options.countTokens)
  const prices = new PriceList(options.prices, options.runtime)
  const priceOf = async (model: Pick<LLMClient, 'provider' | 'model'>, inputTokens: number) => {
    if (usd === undefined) return undefined
    const quote = await prices.priceOf(model, inputTokens)
    return quote?.price ?? (typeof unknownPrice === 'object' ? unknownPrice : undefined)
  }

  return async (client, request, { signal, scope = {} } = {}) => {
    if (signal?.aborted) throw clientError(signal.reason, client, signal)
    const { params } = request
    const input = counts.request(request)
    const output = params?.maxOutputTokens ?? client.capabilities.maxOutputTokens ?? maxOutputTokens
    const expected = { inputTokens: Math.min(input, mostTokens), outputTokens: Math.min(output, mostTokens) }
    const price = await priceOf(client, expected.inputTokens)
    const account = accounts.of(scope)
    if (usd !== undefined && !price && unknownPrice === 'deny')
      throw account.refusal('usd', { unpriced: `${client.provider}/${client.model}` })
    const reserved = amountsOf(expected, price && dearest(price))
    await account.take(reserved, signal)

    let isSettled = false
    const settle = async (spent: BudgetAmounts): Promise<void> => {
      if (isSettled) return
      isSettled = true
      await account.settle(reserved, spent)
    }
    return {
      end: async (response) => {
        try {
          const usage = usageOf(response, expected.inputTokens, counts)
          const charged = await priceOf(response.answeredBy ?? client, usage.inputTokens)
          const billed = usage.costUsd
          const isUnpriced = usd !== undefined && billed === undefined && !charged
          if (isUnpriced && unknownPrice === 'ignore') account.forgoCost()
          const { nanoUsd, ...rest } = amountsOf(usage, charged)
          // Another model may have answered than the one whose price is known: what was reserved for it is then kept.
          const kept = isUnpriced ? reserved.nanoUsd : nanoUsd
          await settle({ ...rest, nanoUsd: billed === undefined ? kept : nanoOf(billed) })
          return withCost(response, charged && nanoUsd / nanoPerUsd)
        } catch {
          // A response that is none: whoever asked for it will say so.
          await settle(reserved)
          return response
        }
      },
      // Nobody waits for a call that is over; without a ledger it is settled already.
      fail: (failure, begun) => void settle(afterFailure(failure, begun, reserved)),
    }
  }
}

const amountsOf = (usage: Usage, price: ModelPrice | undefined): BudgetAmounts => ({
  nanoUsd: (price && nanoCostOf(usage, price)) ?? 0,
  tokens: Math.ceil(usage.inputTokens) + Math.ceil(usage.outputTokens),
  calls: 1,
  toolCalls: 0,
})

/** Nobody knows before what of a prompt will be put into a cache, or how much a model will think. */
function dearest(price: ModelPrice): ModelPrice {
  const { inputPerM, outputPerM, cachedPerM = 0, cacheWritePerM = 0, reasoningPerM = 0 } = price
  return {
    inputPerM: Math.max(inputPerM, cachedPerM, cacheWritePerM),
    outputPerM: Math.max(outputPerM, reasoningPerM),
  }
}

// A million dollars: beyond them nothing a provider says of one call is believed.
const mostUsd = 1e6

const nanoOf = (usd: number): number => Math.round(usd * nanoPerUsd)

/** As reported, where that can be believed; otherwise by what was sent and said. */
function usageOf(response: LLMResponse, inputTokens: number, counts: TokenCounts): Usage {
  const { usage, text, toolCalls } = response
  if (!usage || !isCountable(usage)) {
    return { inputTokens, outputTokens: counts.message(assistant(text, toolCalls)) }
  }
  const { costUsd, ...rest } = usage
  const isBilled = typeof costUsd === 'number' && costUsd >= 0 && costUsd <= mostUsd
  return isBilled ? usage : rest
}

/** What a call cost that has no response: as much as was reserved, unless it is known that nothing was billed. */
function afterFailure(failure: unknown, begun: boolean, reserved: BudgetAmounts): BudgetAmounts {
  if (begun || failure === undefined) return reserved
  // Such as a missing key, or another budget: nothing was sent.
  if (isTercetError(failure) && !isLLMError(failure)) return nothing
  const error = clientError(failure, { provider: '', model: '' })
  return isLLMError(error) && unreadKinds.has(error.kind) ? { ...nothing, calls: 1 } : reserved
}

const count = () => integer(0)

const amountsCheck = () =>
  object({
    nanoUsd: count(),
    tokens: count(),
    calls: count(),
    toolCalls: count(),
  } satisfies Record<keyof BudgetAmounts, Check>)

// A function, so that it is left out of what is built without budgets.
const budgetChecks = (): Record<keyof BudgetOptions, Check> => ({
  usd: optional(number(0, 1e6)),
  tokens: optional(integer(0)),
  calls: optional(integer(0)),
  toolCalls: optional(integer(0)),
  wallMs: optional(positiveMs()),
  softAt: optional(number(0, 1)),
  unknownPrice: optional({
    wanted: "'deny', 'ignore' or a price",
    find: (value, path) =>
      (typeof value === 'object' ? priceCheck() : oneOf('deny', 'ignore')).find(value, path),
  }),
  prices: optional(pricesCheck()),
  maxOutputTokens: optional(integer(1)),
  countTokens: optional(fn()),
  per: optional(oneOf('all', 'run', 'conversation', 'agent', 'principal')),
  windowMs: optional(positiveMs()),
  ledger: optional(object()),
  initialState: optional(recordOf(amountsCheck())),
  runtime: optional(runtimeCheck),
})
