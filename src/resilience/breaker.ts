import type { CallOptions, ClientMiddleware, LLMChunk, LLMClient, ModelName } from '../client/client.ts'
import { clientError, isLLMError } from '../client/thrown.ts'
import { ConfigurationError, LLMError, type LLMErrorKind } from '../errors.ts'
import {
  type Check,
  checkOptions,
  either,
  flag,
  fn,
  integer,
  list,
  number,
  object,
  oneOf,
  optional,
  positiveMs,
  record,
  that,
} from '../options.ts'
import { type Runtime, runtimeCheck, systemRuntime } from '../runtime.ts'
import {
  Circuit,
  type CircuitSettings,
  type CircuitSnapshot,
  type CircuitState,
  type Passage,
} from './circuit.ts'
import { nameOf, replyOf, wrapped } from './wrapped.ts'

export interface CircuitBreakerOptions {
  /** The part of the calls that has to fail, above 0 and at most 1. Default: 0.5. */
  readonly failureRate?: number
  /** Outcomes within the window before the rate means anything. Default: 5. */
  readonly minSamples?: number
  /** How far back outcomes count, in milliseconds. Default: 60 000. */
  readonly windowMs?: number
  /** How long nothing is sent once it is open, in milliseconds. Default: 30 000. */
  readonly openMs?: number
  readonly halfOpen?: {
    /** Calls that are let through at once at first. Default: 1. */
    readonly initial?: number
    /** What becomes of that number when as many have succeeded: it doubles, or so many are added. Default: `'double'`. */
    readonly step?: 'double' | number
    /** The number after which the circuit is closed. Default: 4. */
    readonly max?: number
  }
  /**
   * Which failures speak against the provider; others count as nothing. Default: all but those of a kind that the request,
   * the account or the caller is to blame for: `invalid_request`, `context_length`, `content_filter`, `not_found`, `auth`,
   * `quota`, `aborted`.
   */
  readonly countsAsFailure?: (error: LLMError) => boolean
  /** Hears of each change of state. What it throws is ignored. */
  readonly onStateChange?: (change: CircuitChange) => void
  /** What `toJSON()` gave, perhaps in another process. */
  readonly initialState?: CircuitBreakerState
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now'>
}

export interface CircuitChange extends ModelName {
  readonly from: CircuitState
  readonly to: CircuitState
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** Circuits by `provider/model`. */
export type CircuitBreakerState = Readonly<Record<string, CircuitSnapshot>>

/** How it goes with one model. */
export interface CircuitHealth extends ModelName {
  readonly state: CircuitState
  /** Outcomes within the window, and those of them that are failures. */
  readonly samples: number
  readonly failures: number
  /** From 0 to 1; 0 without samples. */
  readonly failureRate: number
  /** While it is open: when it is tried again, in milliseconds since the epoch. */
  readonly openUntil?: number
}

/** A middleware that may stand around several clients: those of the same provider and model share a circuit. */
export interface CircuitBreaker extends ClientMiddleware {
  /** Of its circuits, the worst: `open` before `half_open` before `closed`. */
  readonly state: CircuitState
  /** Every circuit, in the order in which they were first used. */
  health(): readonly CircuitHealth[]
  /** All circuits as JSON, for `initialState`. */
  toJSON(): CircuitBreakerState
}

/** A model is not asked, because of how often it failed. Of kind `overloaded`; `retryAfterMs` says when it is tried again. */
export class CircuitOpenError extends LLMError {
  constructor({ provider, model }: ModelName, retryAfterMs: number | undefined) {
    const when =
      retryAfterMs === undefined
        ? 'is being tried out by other calls'
        : `is tried again in ${retryAfterMs} ms`
    super(
      `${provider} (${model}) failed too often and was not asked: it ${when}. Ask another client, or wait.`,
      {
        kind: 'overloaded',
        provider,
        model,
        ...(retryAfterMs !== undefined && { retryAfterMs }),
      },
    )
  }
}

/**
 * Asks a model that fails too often no more for a while: calls then fail at once with a `CircuitOpenError`, and nothing is
 * sent. Closed, open and half-open are those of `Circuit`; a reply that breaks in the middle is a failure, and one that is
 * aborted or left is nothing. As long as no call within the window has answered, no more than `minSamples` are under way at
 * once: the others wait for the first sign of life, or for the circuit to open.
 *
 * @throws ConfigurationError
 */
export function circuitBreaker(options: CircuitBreakerOptions = {}): CircuitBreaker {
  const { settings, countsAsFailure, now, onStateChange, initialState } = settingsOf(options)
  const circuits = new Map<string, NamedCircuit>()
  const circuitOf = (client: ModelName): Circuit => {
    const key = `${client.provider}/${client.model}`
    const known = circuits.get(key)
    return known ? known.circuit : newCircuit(key, nameOf(client))
  }
  const newCircuit = (key: string, name: ModelName): Circuit => {
    const onChange = (from: CircuitState, to: CircuitState) => {
      try {
        onStateChange?.({ ...name, from, to, at: now() })
      } catch {
        // A listener that throws cannot harm a call.
      }
    }
    const circuit = new Circuit({ settings, now, onChange, initial: initialState[key] })
    circuits.set(key, { name, circuit })
    return circuit
  }
  for (const key of Object.keys(initialState)) {
    const [provider = '', ...model] = key.split('/')
    newCircuit(key, { provider, model: model.join('/') })
  }

  const breaker: ClientMiddleware = (next) =>
    wrapped(next, async function* (request, callOptions, way) {
      const passage = await admitted(circuitOf(next), next, callOptions)
      yield* watched(replyOf(next, request, callOptions, way), passage, countsAsFailure)
    })
  const members = {
    get state() {
      const states = [...circuits.values()].map(({ circuit }) => circuit.state)
      return (['open', 'half_open'] as const).find((state) => states.includes(state)) ?? 'closed'
    },
    health: () => [...circuits.values()].map(healthOf),
    toJSON: () => Object.fromEntries([...circuits].map(([key, { circuit }]) => [key, circuit.toJSON()])),
  }
  // A function with these members, which is what the type says.
  return Object.defineProperties(breaker, Object.getOwnPropertyDescriptors(members)) as CircuitBreaker
}

async function admitted(circuit: Circuit, client: LLMClient, options: CallOptions = {}): Promise<Passage> {
  const { signal } = options
  try {
    let entry = circuit.enter()
    while (entry === 'wait') {
      await circuit.changed(signal)
      entry = circuit.enter()
    }
    if (entry === 'refused') throw new CircuitOpenError(client, circuit.retryAfterMs)
    return entry
  } catch (thrown) {
    throw clientError(thrown, client, signal)
  }
}

async function* watched(
  reply: AsyncIterable<LLMChunk>,
  passage: Passage,
  countsAsFailure: (error: LLMError) => boolean,
): AsyncGenerator<LLMChunk, void, undefined> {
  try {
    for await (const chunk of reply) {
      if (chunk.type === 'end') passage.settle('success')
      else passage.begun()
      yield chunk
    }
  } catch (error) {
    const isFailure = isLLMError(error) && error.kind !== 'aborted' && countsAsFailure(error)
    passage.settle(isFailure ? 'failure' : 'neither')
    throw error
  } finally {
    // It was left.
    passage.settle('neither')
  }
}

function healthOf({ name, circuit }: NamedCircuit): CircuitHealth {
  const { state, openUntil, failures } = circuit
  const samples = circuit.samples.length
  const failureRate = samples === 0 ? 0 : failures / samples
  return { ...name, state, samples, failures, failureRate, ...(openUntil !== undefined && { openUntil }) }
}

interface NamedCircuit {
  readonly name: ModelName
  readonly circuit: Circuit
}

const blameless: ReadonlySet<LLMErrorKind> = new Set<LLMErrorKind>([
  'invalid_request',
  'context_length',
  'content_filter',
  'not_found',
  'auth',
  'quota',
])

function settingsOf(options: CircuitBreakerOptions) {
  checkOptions('circuitBreaker', options, checks)
  const {
    failureRate = 0.5,
    minSamples = 5,
    windowMs = 60_000,
    openMs = 30_000,
    countsAsFailure = ({ kind }) => !blameless.has(kind),
    onStateChange,
    initialState = {},
    runtime = systemRuntime,
  } = options
  const { initial = 1, step = 'double', max = 4 } = options.halfOpen ?? {}
  if (initial > max) {
    throw new ConfigurationError(
      'halfOpen.initial',
      `circuitBreaker option halfOpen.initial must be at most halfOpen.max (${max}), got ${initial}.`,
      { value: initial },
    )
  }
  const settings: CircuitSettings = {
    failureRate,
    minSamples,
    windowMs,
    openMs,
    halfOpen: { initial, step, max },
  }
  return { settings, countsAsFailure, onStateChange, initialState, now: () => runtime.now() }
}

const sample = object({ at: number(), failed: flag() })

const circuitState = object({ openUntil: optional(number()), samples: list(sample) })

const checks: Record<keyof CircuitBreakerOptions, Check> = {
  failureRate: optional(
    that('a number above 0 and at most 1', (value) => typeof value === 'number' && value > 0 && value <= 1),
  ),
  minSamples: optional(integer(1)),
  windowMs: optional(positiveMs()),
  openMs: optional(positiveMs()),
  halfOpen: optional(
    object({
      initial: optional(integer(1)),
      step: optional(either(oneOf('double'), integer(1))),
      max: optional(integer(1)),
    }),
  ),
  countsAsFailure: optional(fn()),
  onStateChange: optional(fn()),
  initialState: optional(record(circuitState)),
  runtime: optional(runtimeCheck),
}
