import type { ClientMiddleware, LLMClient, LLMResponse, ModelName } from '../client/client.ts'
import type { Usage } from '../messages.ts'
import { type Check, checkOptions, optional } from '../options.ts'
import { type Runtime, runtimeCheck, systemRuntime } from '../runtime.ts'
import { metered } from './metered.ts'
import { type ModelPrice, nanoPerUsd, type Prices, pricesCheck } from './prices.ts'

export interface PricingOptions {
  /** Your own prices, which come before those of the package. Default: none. */
  readonly prices?: Prices
  /** Which of several prices of a model is in force. Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now'>
}

/** A middleware that can be asked for the prices it goes by. */
export interface Pricing extends ClientMiddleware {
  /**
   * The price of a model, and where it is from; `undefined` if nobody knows it. Some models charge more for long prompts:
   * `inputTokens` (default 0) says how long it is.
   */
  priceOf(model: ModelName, inputTokens?: number): Promise<PriceQuote | undefined>
}

export interface PriceQuote {
  readonly price: ModelPrice
  /** `'prices'`: your own. Otherwise the package, and its name for the model. */
  readonly source: string
}

/**
 * Says in `usage.costUsd` what each call cost, where the provider did not: by your own `prices`, or those of the package
 * `@pydantic/genai-prices`, if it is installed. A model whose price is not known for certain has no cost: it is never 0.
 *
 * @throws ConfigurationError
 */
export function pricing(options: PricingOptions = {}): Pricing {
  checkOptions('pricing', options, pricingChecks())
  const list = new PriceList(options.prices, options.runtime)
  const end = async (client: LLMClient, response: LLMResponse): Promise<LLMResponse> => {
    const { usage } = response
    if (!usage || usage.costUsd !== undefined) return response
    const quote = await list.priceOf(response.answeredBy ?? client, usage.inputTokens)
    return withCost(response, quote && costOf(usage, quote.price))
  }
  const middleware: ClientMiddleware = (next) =>
    metered(next, async () => ({ end: (response) => end(next, response), fail: () => {} }))
  return Object.assign(middleware, {
    priceOf: (model: ModelName, inputTokens?: number) => list.priceOf(model, inputTokens),
  })
}

/** The response with what it cost in its usage, if both are known and it is not there yet. */
export function withCost(response: LLMResponse, costUsd: number | undefined): LLMResponse {
  const { usage } = response
  if (costUsd === undefined || !usage || usage.costUsd !== undefined || !isCountable(usage)) return response
  return { ...response, usage: { ...usage, costUsd } }
}

/**
 * What a call cost in USD, in whole nano-dollars. Cached, cache-write and reasoning tokens are charged as what they are:
 * they are part of `inputTokens` and `outputTokens`, not beside them. `undefined` if the usage cannot be believed: numbers
 * that are none, negative, or above 100 million tokens.
 */
export function costOf(usage: Usage, price: ModelPrice): number | undefined {
  const nanoDollars = nanoCostOf(usage, price)
  return nanoDollars === undefined ? undefined : nanoDollars / nanoPerUsd
}

/** The same as a whole number of nano-dollars. */
export function nanoCostOf(usage: Usage, price: ModelPrice): number | undefined {
  if (!isCountable(usage)) return undefined
  const { inputPerM, outputPerM, cachedPerM = inputPerM, cacheWritePerM = inputPerM } = price
  const { reasoningPerM = outputPerM } = price
  const { inputTokens, outputTokens } = usage
  const cached = partOf(inputTokens, usage.cachedInputTokens)
  const written = partOf(inputTokens - cached, usage.cacheWriteTokens)
  const reasoning = partOf(outputTokens, usage.reasoningTokens)
  const input = (inputTokens - cached - written) * inputPerM + cached * cachedPerM + written * cacheWritePerM
  const output = (outputTokens - reasoning) * outputPerM + reasoning * reasoningPerM
  // A million tokens at 1 USD are 1e9 nano-dollars. Rounded once each, so that no parts come to more than their whole.
  return Math.round(input * 1000) + Math.round(output * 1000)
}

/** Whether the counts of a usage can be believed: a client is someone else's code. */
export function isCountable({ inputTokens, outputTokens }: Usage): boolean {
  return isCount(inputTokens) && isCount(outputTokens)
}

// No model reads or writes as many in one call; with prices up to 10,000 USD all sums stay whole numbers.
export const mostTokens = 1e8

const isCount = (tokens: unknown): tokens is number =>
  typeof tokens === 'number' && tokens >= 0 && tokens <= mostTokens

const partOf = (whole: number, part: unknown): number => (isCount(part) ? Math.min(part, whole) : 0)

/** Prices of models: your own first, then those of the package, which is loaded when it is first needed. */
export class PriceList {
  readonly #own: Prices
  readonly #now: () => number
  #table: Promise<Table | undefined> | undefined

  constructor(own: Prices = {}, runtime: Pick<Runtime, 'now'> = systemRuntime) {
    this.#own = own
    this.#now = () => runtime.now()
  }

  async priceOf({ provider, model }: ModelName, inputTokens = 0): Promise<PriceQuote | undefined> {
    for (const name of [`${provider}/${model}`, model]) {
      const price = Object.hasOwn(this.#own, name) ? this.#own[name] : undefined
      if (price) return { price, source: 'prices' }
    }
    // Without the package, or with one that cannot be loaded, there are only our own prices.
    this.#table ??= load().catch(() => undefined)
    const table = await this.#table
    return table && quoteOf(table, { provider, model }, inputTokens, new Date(this.#now()))
  }
}

const load = () => import('@pydantic/genai-prices')

type Table = Awaited<ReturnType<typeof load>>
type Entry = NonNullable<ReturnType<Table['calcPrice']>>

/** Providers that the package calls by another name than we do. */
const providerIds: Readonly<Record<string, string>> = { xai: 'x-ai', moonshot: 'moonshotai' }

function quoteOf(
  table: Table,
  { provider, model }: ModelName,
  inputTokens: number,
  timestamp: Date,
): PriceQuote | undefined {
  const id = Object.hasOwn(providerIds, provider) ? providerIds[provider] : provider
  const found = table.findProvider({ providerId: provider })
  // It finds providers, too, by a part of their name: a proxy is not what it is named after.
  if (!found || found.id !== id) return undefined
  const entry = table.calcPrice({ input_tokens: 0 }, model, { provider: found, timestamp })
  if (!entry || !isCertain(model, entry.model)) return undefined
  const price = priceIn(entry.model_price, inputTokens)
  return price && { price, source: `@pydantic/genai-prices: ${entry.provider.id}/${entry.model.id}` }
}

/**
 * Whether the package knows this very model. It takes "claude-sonnet-5-5" for a "claude-sonnet-5" because it begins like
 * one: a name has to be known as a whole, or but for a date at its end.
 */
function isCertain(model: string, { id, match }: Entry['model']): boolean {
  const name = model.toLowerCase()
  const names = [name, name.replace(/[-@](\d{4}-?\d{2}-?\d{2}|latest)$/, '')]
  const fits = (clause: Entry['model']['match']): boolean => {
    if ('or' in clause) return clause.or.some(fits)
    if ('and' in clause) return clause.and.some(fits)
    if ('equals' in clause) return names.includes(clause.equals)
    if ('starts_with' in clause) return names.includes(clause.starts_with)
    return 'regex' in clause && clause.regex.endsWith('$') && new RegExp(clause.regex).test(name)
  }
  return names.includes(id) || fits(match)
}

function priceIn(prices: Entry['model_price'], inputTokens: number): ModelPrice | undefined {
  const perM = (unit: string) => inForce(prices[unit], inputTokens)
  const inputPerM = perM('input_mtok')
  const outputPerM = perM('output_mtok')
  if (inputPerM === undefined || outputPerM === undefined) return undefined
  const cachedPerM = perM('cache_read_mtok')
  const cacheWritePerM = perM('cache_write_mtok')
  const reasoningPerM = perM('output_reasoning_mtok')
  return {
    inputPerM,
    outputPerM,
    ...(cachedPerM !== undefined && { cachedPerM }),
    ...(cacheWritePerM !== undefined && { cacheWritePerM }),
    ...(reasoningPerM !== undefined && { reasoningPerM }),
  }
}

/** A price that depends on the length of the prompt is the one of the last tier that it is beyond. */
function inForce(price: Entry['model_price'][string], inputTokens: number): number | undefined {
  if (typeof price !== 'object') return price
  return price.tiers.reduce((last, { start, price }) => (inputTokens > start ? price : last), price.base)
}

const pricingChecks = (): Record<keyof PricingOptions, Check> => ({
  prices: optional(pricesCheck()),
  runtime: optional(runtimeCheck),
})
