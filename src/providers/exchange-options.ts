import { optional, positiveMs } from '../options.ts'
import { createRuntime, type Runtime, runtimeCheck } from '../runtime.ts'

/** Options of every client: how long its provider may be silent, and whose clock tells. */
export interface ExchangeOptions {
  /**
   * How long an answer may take to begin, in milliseconds, also one that is sent whole; headers and pings do not begin
   * it. Raise it for models that think long before they say anything. Default: 300 000.
   */
  readonly firstContentMs?: number
  /**
   * How long an answer that has begun may say nothing more, in milliseconds. Only text, reasoning and tool calls count:
   * pings, comments and empty deltas do not, and the time its reader takes is not counted. Default: 60 000.
   */
  readonly idleMs?: number
  /** Where the time comes from, and ids and the network. Default: the real ones. */
  readonly runtime?: Partial<Runtime>
}

export const exchangeChecks = {
  firstContentMs: optional(positiveMs()),
  idleMs: optional(positiveMs()),
  runtime: optional(runtimeCheck),
}

export interface ExchangeSettings extends Required<Pick<ExchangeOptions, 'firstContentMs' | 'idleMs'>> {
  readonly runtime: Runtime
}

export function exchangeSettings(options: ExchangeOptions): ExchangeSettings {
  const { firstContentMs = 300_000, idleMs = 60_000, runtime } = options
  return { firstContentMs, idleMs, runtime: createRuntime(runtime) }
}
