import { type Check, filledText, number, object, optional } from '../options.ts'

/** Your own prices: by `'provider/model'`, or by the name of the model alone, whoever serves it. */
export type Prices = Readonly<Record<string, ModelPrice>>

/** USD for a million tokens, each from 0 to 10,000. */
export interface ModelPrice {
  readonly inputPerM: number
  readonly outputPerM: number
  /** Input that the provider had in its cache. Default: `inputPerM`. */
  readonly cachedPerM?: number
  /** Input that it puts into its cache. Default: `inputPerM`. */
  readonly cacheWritePerM?: number
  /** Default: `outputPerM`. */
  readonly reasoningPerM?: number
  /** When the price was read, such as `'2026-10-02'`: for those who ask `priceOf`. */
  readonly asOf?: string
}

/** Money is added up in whole nano-dollars. */
export const nanoPerUsd = 1e9

const perM = () => number(0, 10_000)

export const priceCheck = (): Check =>
  object({
    inputPerM: perM(),
    outputPerM: perM(),
    cachedPerM: optional(perM()),
    cacheWritePerM: optional(perM()),
    reasoningPerM: optional(perM()),
    asOf: optional(filledText()),
  } satisfies Record<keyof ModelPrice, Check>)

export const pricesCheck = (): Check => recordOf(priceCheck())

/** An object of which each member is what `check` wants, whatever its name. */
export function recordOf(check: Check): Check {
  return {
    wanted: `an object of which each member is ${check.wanted}`,
    find: (value, path) => {
      const fault = object().find(value, path)
      if (fault) return fault
      for (const [name, member] of Object.entries(value as object)) {
        const wrong = check.find(member, `${path}[${JSON.stringify(name)}]`)
        if (wrong) return wrong
      }
      return undefined
    },
  }
}
