import { untilAborted } from '../abort.ts'
import type {
  CallOptions,
  CallScope,
  Capabilities,
  LLMChunk,
  LLMClient,
  LLMRequest,
  LLMResponse,
} from '../client/client.ts'
import { collect } from '../client/collect.ts'
import { clientError, isLLMError } from '../client/thrown.ts'
import { LLMError } from '../errors.ts'
import {
  type Check,
  checkOptions,
  fn,
  hidden,
  integer,
  number,
  oneOf,
  optional,
  positiveMs,
  that,
} from '../options.ts'
import { type Runtime, runtimeCheck, systemRuntime } from '../runtime.ts'
import { scrubbedError } from '../scrubbed-error.ts'
import { Scrubber } from '../scrubber.ts'
import { isSecret, reveal, type Secret } from '../secret.ts'

/** A key as text, or as a `secret()`, which is opened at every use. */
export type Key = string | Secret

/**
 * The keys there are, or a function that gives those for one call: asked before every attempt, so it can read a vault, and
 * give each principal its own. What is dear to find it should keep for itself.
 */
export type Keys =
  | readonly Key[]
  | ((scope: CallScope | undefined) => readonly Key[] | Promise<readonly Key[]>)

export interface KeyRingOptions {
  readonly keys: Keys
  /**
   * Makes the client of one key, such as `(apiKey) => new OpenAIClient({ apiKey, model })`; it is kept while the key is in
   * use. All of them must be the same but for the key. Where `keys` is a function, it is called once with a stand-in, to
   * learn which model it is.
   */
  readonly make: (key: string) => LLMClient
  /**
   * Which key is next, among those that can be used. `round-robin` (the default): the one that was not used for longest.
   * `on-auth-error`: the first. `interval`: the first for `everyMs`, then the second, and so on.
   */
  readonly strategy?: 'round-robin' | 'on-auth-error' | 'interval'
  /** How long `interval` stays with a key, in milliseconds, beginning when the ring is made. */
  readonly everyMs?: number
  /** How long a key rests after a 429 that does not say for how long, in milliseconds. Default: 10 000. */
  readonly cooldownMs?: number
  /** How many further keys one call may try, at once and one after the other. Default: 1. */
  readonly rotations?: number
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now'>
}

/** A client over many keys. It owns the clients that it makes, and closes them. */
export interface KeyRing extends LLMClient {
  /**
   * Other keys from the next call on, each as if it had never been used. What is under way ends with the key it has.
   *
   * @throws ConfigurationError
   */
  replace(keys: Keys): void
  close(): Promise<void>
}

/**
 * One client over many keys. A call whose key is refused (401, 403), has no money left or has had too many requests (429)
 * is made once more with the next key; a stream only until its first chunk, or for a caller that can retract. A key that was
 * refused is not used again before `replace`, unless it was a 403 that the next key got as well, which is about the request.
 * A key with too many requests rests for as long as its provider asked. When no key is left, the call fails as `auth`, or as
 * `rate_limit` with `retryAfterMs` until the first of them is back, which a `retry` around the ring waits for. Each rotation is
 * told as a `retry` of 0 ms. No key is in an error, and the ring shows none.
 *
 * @throws ConfigurationError
 */
export function keyRing(options: KeyRingOptions): KeyRing {
  checkOptions('keyRing', options, checks())
  if (options.strategy === 'interval') {
    checkOptions('keyRing', { everyMs: options.everyMs }, { everyMs: positiveMs() })
  }
  return new Ring(options)
}

const isKeys = (value: unknown): boolean =>
  typeof value === 'function' ||
  (Array.isArray(value) &&
    value.length > 0 &&
    value.every((key) => isSecret(key) || (typeof key === 'string' && key.trim() !== '')))

const keysCheck = (): Check =>
  hidden(that('an array of keys that is not empty, or a function that gives one', isKeys))

// A function: a bundler keeps what is called when a module is loaded, also for those who never use it.
const checks = (): Record<keyof KeyRingOptions, Check> => ({
  keys: keysCheck(),
  make: fn(),
  strategy: optional(oneOf('round-robin', 'on-auth-error', 'interval')),
  everyMs: optional(positiveMs()),
  cooldownMs: optional(number(0)),
  rotations: optional(integer(0)),
  runtime: optional(runtimeCheck),
})

/** A key in use. */
interface Slot {
  readonly client: LLMClient
  readonly scrubber: Scrubber
  /** The number of its last use among all uses. */
  used: number
  calls: number
  isEvicted: boolean
  /** When it is back, and why it rests. */
  rest?: { readonly until: number; readonly kind: 'quota' | 'rate_limit' }
  /** No call is to begin with it any more; its client is closed after the last. */
  isGone: boolean
}

// Keys that a function gave stay known for a while after it gives others. More than these are in nobody's use at once.
const mostSlots = 1000

const standIn = 'stand-in-for-a-key'

class Ring implements KeyRing {
  readonly provider: string
  readonly model: string
  readonly capabilities: Capabilities
  declare readonly stream?: (request: LLMRequest, options?: CallOptions) => AsyncIterable<LLMChunk>
  readonly #make: (key: string) => LLMClient
  readonly #policy: Required<Pick<KeyRingOptions, 'strategy' | 'everyMs' | 'cooldownMs' | 'rotations'>>
  readonly #runtime: Pick<Runtime, 'now'>
  readonly #startedAt: number
  /** By key, the one used last at the end. */
  readonly #slots = new Map<string, Slot>()
  #keys: Keys
  #uses = 0

  constructor(options: KeyRingOptions) {
    const { keys, make, strategy = 'round-robin', everyMs = 1, cooldownMs = 10_000, rotations = 1 } = options
    this.#make = make
    this.#policy = { strategy, everyMs, cooldownMs, rotations }
    this.#runtime = options.runtime ?? systemRuntime
    this.#startedAt = this.#runtime.now()
    this.#keys = keys
    const [first] = typeof keys === 'function' ? [] : textsOf(keys)
    const example = first === undefined ? make(standIn) : this.#slotOf(first).client
    this.provider = example.provider
    this.model = example.model
    this.capabilities = example.capabilities
    if (example.stream) {
      this.stream = (request, callOptions) =>
        this.#attempts(callOptions, (client) => streamOf(client, request, callOptions))
    }
    if (first === undefined) void closeQuietly(example)
  }

  call(request: LLMRequest, options?: CallOptions): Promise<LLMResponse> {
    return collect(
      this,
      this.#attempts(options, (client) => answerOf(client, request, options)),
    )
  }

  replace(keys: Keys): void {
    checkOptions('keyRing.replace()', { keys }, { keys: keysCheck() })
    this.#keys = keys
    const kept = typeof keys === 'function' ? [...this.#slots.keys()] : textsOf(keys)
    for (const [key, slot] of this.#slots) {
      slot.isEvicted = false
      delete slot.rest
      if (!kept.includes(key)) this.#drop(key, slot)
    }
  }

  async close(): Promise<void> {
    const slots = [...this.#slots.values()]
    this.#slots.clear()
    await Promise.all(slots.map(({ client }) => client.close?.()))
  }

  async *#attempts(
    { signal, scope, notify, canRetract = false }: CallOptions = {},
    open: (client: LLMClient) => AsyncIterable<LLMChunk>,
  ): AsyncGenerator<LLMChunk, void, undefined> {
    const tried = new Set<string>()
    // Refused with 403. If the next key is not, it was the key; if it is, it was the request.
    const suspects: Slot[] = []
    let failure: LLMError | undefined
    let hasBegun = false
    for (let attempt = 1; ; attempt++) {
      const keys = await this.#currentKeys(scope, signal)
      const key = this.#nextKey(keys, tried)
      if (key === undefined) throw failure ?? this.#noneLeft(keys)
      if (failure) tellRotation(notify, attempt - 1, failure)
      tried.add(key)
      const slot = this.#slotOf(key)
      this.#uses += 1
      slot.used = this.#uses
      slot.calls += 1
      try {
        if (hasBegun) yield { type: 'retracted' }
        hasBegun = false
        for await (const chunk of open(slot.client)) {
          if (!hasBegun) for (const suspect of suspects) suspect.isEvicted = true
          hasBegun = true
          yield chunk
        }
        return
      } catch (thrown) {
        // The clients of this package show no key; one that somebody wrote may.
        const error = scrubbedError(clientError(thrown, this, signal), slot.scrubber)
        if (!isLLMError(error)) throw error
        failure = error
        const isOfKey = this.#blame(slot, error, suspects)
        if (!isOfKey || attempt > this.#policy.rotations || (hasBegun && !canRetract)) throw error
      } finally {
        slot.calls -= 1
        if (slot.isGone && slot.calls === 0) void closeQuietly(slot.client)
      }
    }
  }

  /** What follows for the key from its failure. False if the failure is none of the key's. */
  #blame(slot: Slot, { kind, status, retryAfterMs }: LLMError, suspects: Slot[]): boolean {
    if (kind === 'auth') {
      if (status === 403) suspects.push(slot)
      else slot.isEvicted = true
      return true
    }
    if (kind !== 'quota' && kind !== 'rate_limit') return false
    const isAsked = retryAfterMs !== undefined && Number.isFinite(retryAfterMs) && retryAfterMs > 0
    const ms = isAsked ? retryAfterMs : this.#policy.cooldownMs
    slot.rest = { until: this.#runtime.now() + ms, kind }
    return true
  }

  async #currentKeys(scope: CallScope | undefined, signal: AbortSignal | undefined): Promise<string[]> {
    try {
      signal?.throwIfAborted()
      const keys = this.#keys
      if (typeof keys !== 'function') return textsOf(keys)
      const asking = (async () => keys(scope))()
      const given: unknown = await (signal ? untilAborted(asking, signal) : asking) // may come from code without types
      return isKeys(given) ? textsOf(given as readonly Key[]) : []
    } catch (thrown) {
      throw clientError(thrown, this, signal)
    }
  }

  #nextKey(keys: readonly string[], tried: ReadonlySet<string>): string | undefined {
    const now = this.#runtime.now()
    return this.#inOrder(keys, now).find((key) => {
      const slot = this.#slots.get(key)
      return !tried.has(key) && !slot?.isEvicted && (slot?.rest?.until ?? now) <= now
    })
  }

  #inOrder(keys: readonly string[], now: number): readonly string[] {
    switch (this.#policy.strategy) {
      case 'on-auth-error':
        return keys
      case 'interval': {
        const turns = Math.max(0, Math.floor((now - this.#startedAt) / this.#policy.everyMs))
        const first = turns % keys.length
        return [...keys.slice(first), ...keys.slice(0, first)]
      }
      case 'round-robin': {
        const used = (key: string) => this.#slots.get(key)?.used ?? 0
        return [...keys].sort((a, b) => used(a) - used(b))
      }
    }
  }

  #noneLeft(keys: readonly string[]): LLMError {
    const { provider, model } = this
    const slots = keys.flatMap((key) => this.#slots.get(key) ?? [])
    const resting = slots.flatMap(({ isEvicted, rest }) => (isEvicted || !rest ? [] : [rest]))
    const limited = resting.filter(({ kind }) => kind === 'rate_limit')
    if (limited.length > 0) {
      const retryAfterMs = Math.min(...limited.map(({ until }) => until)) - this.#runtime.now()
      return new LLMError(
        `Every key of ${provider} (${model}) has had too many requests. Wait ${retryAfterMs} ms, then call again.`,
        { kind: 'rate_limit', provider, model, retryAfterMs },
      )
    }
    if (resting.length > 0) {
      return new LLMError(
        `No key of ${provider} (${model}) has money left. Check the plans of their accounts.`,
        {
          kind: 'quota',
          provider,
          model,
        },
      )
    }
    const what = keys.length === 0 ? 'There is no key' : 'Every key was refused'
    return new LLMError(`${what} for ${provider} (${model}). Give others by replace().`, {
      kind: 'auth',
      provider,
      model,
    })
  }

  #slotOf(key: string): Slot {
    const slot = this.#slots.get(key) ?? {
      client: this.#make(key),
      scrubber: new Scrubber([{ name: 'apiKey', value: key }]),
      used: 0,
      calls: 0,
      isEvicted: false,
      isGone: false,
    }
    this.#slots.delete(key)
    this.#slots.set(key, slot)
    const [oldest] = this.#slots
    if (this.#slots.size > mostSlots && oldest) this.#drop(...oldest)
    return slot
  }

  #drop(key: string, slot: Slot): void {
    this.#slots.delete(key)
    slot.isGone = true
    if (slot.calls === 0) void closeQuietly(slot.client)
  }
}

/** The keys that have something in them, each once. */
function textsOf(keys: readonly Key[]): string[] {
  const texts = keys.map((key) => (typeof key === 'string' ? key : (reveal(key) ?? '')))
  return [...new Set(texts.filter((text) => text.trim() !== ''))]
}

function streamOf(client: LLMClient, request: LLMRequest, options?: CallOptions): AsyncIterable<LLMChunk> {
  return client.stream?.(request, options) ?? answerOf(client, request, options)
}

async function* answerOf(
  client: LLMClient,
  request: LLMRequest,
  options?: CallOptions,
): AsyncGenerator<LLMChunk, void, undefined> {
  yield { type: 'end', response: await client.call(request, options) }
}

function tellRotation(notify: CallOptions['notify'], attempt: number, error: LLMError): void {
  const { code, message, kind } = error
  try {
    notify?.({ type: 'retry', attempt, delayMs: 0, error: { code, message, kind } })
  } catch {
    // A listener that throws cannot harm a call.
  }
}

async function closeQuietly(client: LLMClient): Promise<void> {
  try {
    await client.close?.()
  } catch {
    // It belongs to a key that nobody uses any more, and nobody waits for it.
  }
}
