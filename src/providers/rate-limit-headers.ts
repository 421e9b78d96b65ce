import type { LimitLeft, ProviderLimits } from '../client/client.ts'

/**
 * What a provider says of its limits in the headers of an answer, in whichever way it says it; `undefined` if it says
 * nothing that can be read.
 */
export function readProviderLimits(headers: Headers, now: number): ProviderLimits | undefined {
  let found: { [Name in keyof ProviderLimits]: LimitLeft } | undefined
  for (const [name, read] of readers) {
    const left = found?.[name] ? undefined : read(headers, now)
    if (left) found = { ...found, [name]: left }
  }
  return found
}

type Reader = (headers: Headers, now: number) => LimitLeft | undefined

/** OpenAI guide "Rate limits" and Groq docs "Rate limits", 2026-11: counts, and a time from now such as `6m0s`. */
function openAI(what: string): Reader {
  const name = `x-ratelimit-remaining-${what}`
  return (headers) => {
    const remaining = headers.get(name)
    // Most answers say nothing, and to ask costs more than to read.
    if (remaining === null) return undefined
    const resetMs = durationMs(headers.get(`x-ratelimit-reset-${what}`))
    return limitLeft(headers.get(`x-ratelimit-limit-${what}`), remaining, resetMs)
  }
}

/** Anthropic docs "Rate limits", 2026-11: counts, and the time at which all of them will be there again. */
function anthropic(what: string): Reader {
  const name = `anthropic-ratelimit-${what}-remaining`
  return (headers, now) => {
    const remaining = headers.get(name)
    if (remaining === null) return undefined
    const resetAt = Date.parse(headers.get(`anthropic-ratelimit-${what}-reset`) ?? '')
    return limitLeft(headers.get(`anthropic-ratelimit-${what}-limit`), remaining, resetAt - now)
  }
}

const readers: readonly (readonly [keyof ProviderLimits, Reader])[] = [
  ['requests', openAI('requests')],
  ['requests', anthropic('requests')],
  ['tokens', openAI('tokens')],
  ['tokens', anthropic('tokens')],
  ['inputTokens', anthropic('input-tokens')],
  ['outputTokens', anthropic('output-tokens')],
]

function limitLeft(limit: string | null, remaining: string, resetMs: number): LimitLeft | undefined {
  const left = count(remaining)
  if (left === undefined || Number.isNaN(resetMs)) return undefined
  const most = count(limit)
  return {
    ...(most !== undefined && { limit: most }),
    remaining: left,
    resetMs: Math.max(0, Math.ceil(resetMs)),
  }
}

function count(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined
}

const unitMs: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 }

/** A time as Go writes it: `20ms`, `7.66s`, `6m0s`, `1h2m3s`. */
function durationMs(text: string | null): number {
  if (text === null || !/^(\d{1,12}(\.\d{1,12})?(ms|[dhms])){1,5}$/.test(text.trim())) return Number.NaN
  const parts = text.matchAll(/([\d.]+)(ms|[dhms])/g)
  return [...parts].reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (unitMs[unit] ?? 0), 0)
}
