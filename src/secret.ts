import { ConfigurationError } from './errors.ts'
import { isPlainObject } from './json.ts'

// Registered symbols, so that a Secret made by another copy of this package, or in another realm, is still one.
// The value hangs on the prototype under a symbol: no walk over keys, spread, clone or serialiser finds it.
const brand: unique symbol = Symbol.for('tercet.secret')
const unwrap: unique symbol = Symbol.for('tercet.secret.unwrap')
const inspect: unique symbol = Symbol.for('nodejs.util.inspect.custom')

/** A value that tools receive and nothing shows: text, JSON, inspection and clones have `[secret:NAME]` or nothing. */
export interface Secret {
  readonly [brand]: true
  readonly name: string | undefined
  toString(): string
  toJSON(): string
}

/**
 * Marks a value as one that only tools may see. A function is called at every use, so a rotated value is used at once.
 * `undefined` and `''` (a missing environment variable) are allowed: there is nothing to hide.
 * @throws ConfigurationError for other types, an empty name, or a text with fewer than 4 or more than 16 384 characters,
 * blanks around it not counted: it could not be removed from other text without damage, or at a bearable cost.
 */
export function secret(value: string | undefined | (() => string | undefined), name?: string): Secret {
  if (name !== undefined && (typeof name !== 'string' || name.trim() === '')) {
    throw new ConfigurationError(
      'secret.name',
      'The name of a secret() must be a text that is not empty; leave it out instead.',
    )
  }
  if (typeof value !== 'function') checkValue(value, name)
  return new SealedValue(value, name)
}

/** True for what `secret()` made, also in another copy of this package. */
export function isSecret(value: unknown): value is Secret {
  // A read that only compares. `true` exactly, because an automatic mock answers any property with something.
  return typeof value === 'object' && value !== null && (value as Partial<Secret>)[brand] === true
}

/**
 * The value behind a secret, for the one place that hands it to a tool.
 * @throws ConfigurationError if a function secret returns what `secret()` would not accept; whatever that function throws.
 */
export function reveal(secret: Secret): string | undefined {
  return (secret as SealedValue)[unwrap]() // Whatever carries the brand was made by this class, in this copy or another.
}

/** How a hidden value of this name is shown. Plain enough to stand in JSON, URLs and logs unescaped. */
export function secretLabel(name: string | undefined): string {
  return name === undefined || name === ''
    ? '[secret]'
    : `[secret:${name.replace(/[^\p{L}\p{N}_.$-]/gu, '_')}]`
}

/** One text that must not leave, and the name that stands in its place. */
export interface SecretEntry {
  readonly name: string
  readonly value: string
}

/** A hidden config, opened for one tool call. */
export interface OpenedConfig {
  /**
   * A copy of the same shape with the value in the place of each Secret (`undefined` if it has none). The config itself,
   * whatever its class, and in it plain objects and arrays, are copied, 64 levels deep; class instances, Maps, functions,
   * dates and buffers pass by reference, untouched.
   */
  readonly config: unknown
  /**
   * Every text in it that must not leave: each `secret()`, under its own name or else its key path (`db.password`), and
   * each other string of 8 to 16 384 characters, blanks around it not counted. Maps and Sets are looked into, too.
   */
  readonly secrets: readonly SecretEntry[]
  /** The keys at its top that hold a `secret()`, at any depth. */
  readonly sealedKeys: readonly string[]
  /** What getters and function secrets threw; what they would have given is missing in the rest. */
  readonly failures: readonly unknown[]
}

/** Every text in a hidden config that must not leave, as far as it can be read. */
export function collectSecrets(config: unknown): readonly SecretEntry[] {
  return openConfig(config).secrets
}

/**
 * Reads a hidden config, everything in it once: what is scrubbed is what was handed out, even if it is another at each
 * reading. Never throws; cycles are fine.
 */
export function openConfig(config: unknown): OpenedConfig {
  const secrets: SecretEntry[] = []
  const sealedKeys = new Set<string>()
  const failures: unknown[] = []
  const values = new Map<Secret, string | undefined>()
  const copies = new Map<object, object>()

  const attempt = (read: () => void): void => {
    try {
      read()
    } catch (thrown) {
      failures.push(thrown)
    }
  }
  const opened = (value: unknown, path: readonly string[]): unknown => {
    if (typeof value === 'string') {
      const isLong = value.length <= longestSecret && hasCodePoints(value.trim(), leastPlainString)
      if (isLong) secrets.push({ name: path.join('.'), value })
      return value
    }
    if (typeof value !== 'object' || value === null || path.length > deepest) return value
    if (isSecret(value)) {
      if (path[0] !== undefined) sealedKeys.add(path[0])
      if (!values.has(value)) values.set(value, reveal(value))
      const text = values.get(value)
      if (text) secrets.push({ name: value.name ?? path.join('.'), value: text })
      return text
    }
    const known = copies.get(value)
    if (known !== undefined) return known
    const isCollection = isOfTag(value, 'Map') || isOfTag(value, 'Set')
    if (!isCollection && path.length > 0 && !Array.isArray(value) && !isPlainObject(value)) return value
    const copy = isCollection ? value : emptyLike(value)
    copies.set(value, copy)
    for (const [key, name, read] of isCollection ? entriesOf(value) : fieldsOf(value)) {
      attempt(() => {
        const member = opened(read(), [...path, name])
        if (!isCollection) setOwn(copy, key, member)
      })
    }
    return copy
  }

  let copy: unknown
  attempt(() => {
    copy = opened(config, [])
  })
  return { config: copy, secrets, sealedKeys: [...sealedKeys], failures }
}

class SealedValue implements Secret {
  readonly #value: string | undefined | (() => string | undefined)
  readonly #name: string | undefined

  constructor(value: string | undefined | (() => string | undefined), name: string | undefined) {
    this.#value = value
    this.#name = name
    Object.freeze(this)
  }

  get [brand](): true {
    return true
  }

  get name(): string | undefined {
    return this.#name
  }

  toString(): string {
    return secretLabel(this.#name)
  }

  toJSON(): string {
    return secretLabel(this.#name)
  }

  [inspect](): string {
    return secretLabel(this.#name)
  }

  [unwrap](): string | undefined {
    if (typeof this.#value !== 'function') return this.#value
    const value: unknown = this.#value()
    checkValue(value, this.#name)
    return value
  }
}

const leastSecret = 4
const leastPlainString = 8
const longestSecret = 16_384
const deepest = 64

function checkValue(value: unknown, name: string | undefined): asserts value is string | undefined {
  if (value === undefined || value === '') return
  // The value is in none of these messages, nor attached to the error.
  const path = name === undefined ? 'secret' : `secret ${name}`
  if (typeof value !== 'string') {
    const type = value === null ? 'null' : typeof value
    throw new ConfigurationError(
      path,
      `${path} must be a string, undefined, or a function that returns one; got ${type}.`,
    )
  }
  if (!hasCodePoints(value.trim(), leastSecret)) {
    throw new ConfigurationError(
      path,
      `${path} has fewer than ${leastSecret} characters: too short to be kept out of text.`,
    )
  }
  if (value.length > longestSecret) {
    throw new ConfigurationError(
      path,
      `${path} has more than ${longestSecret} characters: give its tool a path or handle instead.`,
    )
  }
}

/** True if the text has at least `count` code points, without walking more of it than that. */
export function hasCodePoints(text: string, count: number): boolean {
  if (text.length < count) return false
  let seen = 0
  for (const _ of text) {
    seen += 1
    if (seen >= count) return true
  }
  return false
}

type Member = readonly [key: PropertyKey, name: string, read: () => unknown]

function emptyLike(value: object): object {
  if (Array.isArray(value)) return []
  return Object.getPrototypeOf(value) === null ? Object.create(null) : {}
}

function fieldsOf(container: object): Member[] {
  return Reflect.ownKeys(container)
    .filter((key) => Object.prototype.propertyIsEnumerable.call(container, key))
    .map((key) => {
      const name = typeof key === 'symbol' ? (key.description ?? 'symbol') : key
      return [key, name, () => Reflect.get(container, key)]
    })
}

/** Of a Map or Set: a key that is no text is called by its place. */
function entriesOf(container: object): Member[] {
  const entries = [...(container as Map<unknown, unknown>).entries()] // A Set has them too; if its tag lies, this throws.
  return entries.map(([key, value], index) => {
    const name = typeof key === 'string' && isOfTag(container, 'Map') ? key : String(index)
    return [name, name, () => value]
  })
}

/** Gives an object a member of its own, also one of the name `__proto__`. */
export function setOwn(target: object, key: PropertyKey, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
}

/** By tag, not `instanceof`: a Map of another realm is one too. */
export function isOfTag(value: object, tag: string): boolean {
  return Object.prototype.toString.call(value) === `[object ${tag}]`
}
