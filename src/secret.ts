import { ConfigurationError } from './errors.ts'

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

/** A hidden config, opened for one tool call: what the tool gets, and what must be scrubbed from all the tool says. */
export interface OpenedConfig {
  readonly config: unknown
  readonly secrets: readonly SecretEntry[]
}

/**
 * `revealSecrets` and `collectSecrets` in one reading: each function secret is called once, so what is scrubbed is what
 * was handed out even if it rotates in between.
 * @throws whatever a function secret throws.
 */
export function openConfig(config: unknown): OpenedConfig {
  const read = readOnce()
  return { config: revealed(config, read), secrets: collected(config, read) }
}

/**
 * Every text in a hidden config that must not leave: each `secret()`, under its own name or else its key path
 * (`db.password`), and each other string of 8 to 16 384 characters, blanks around it not counted. Walks the config
 * itself, whatever its class, and in it plain objects, arrays, Maps and Sets, 64 levels deep; cycles, and getters and
 * function secrets that throw, are passed over.
 */
export function collectSecrets(config: unknown): SecretEntry[] {
  return collected(config, readOnce())
}

/**
 * A copy of the same shape with the value in the place of each Secret (`undefined` if it has none). The config itself,
 * and in it plain objects and arrays, are copied, 64 levels deep; class instances, Maps, functions, dates and buffers
 * pass by reference, untouched.
 * @throws whatever a getter or a function secret throws.
 */
export function revealSecrets(config: unknown): unknown {
  return revealed(config, readOnce())
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

type ReadSecret = (secret: Secret) => string | undefined

function readOnce(): ReadSecret {
  const values = new Map<Secret, string | undefined>()
  return (secret) => {
    if (!values.has(secret)) values.set(secret, reveal(secret))
    return values.get(secret)
  }
}

function collected(config: unknown, read: ReadSecret): SecretEntry[] {
  const entries: SecretEntry[] = []
  const seen = new Set<object>()

  const add = (value: unknown, path: string, depth: number): void => {
    if (typeof value === 'string') {
      const isSecretText = value.length <= longestSecret && hasCodePoints(value.trim(), leastPlainString)
      if (isSecretText) entries.push({ name: path, value })
      return
    }
    if (typeof value !== 'object' || value === null || depth > deepest || seen.has(value)) return
    if (isSecret(value)) {
      const text = read(value)
      if (text !== undefined && text !== '') entries.push({ name: value.name ?? path, value: text })
      return
    }
    seen.add(value)
    for (const [key, member] of members(value, depth)) {
      attempt(() => add(member(), path === '' ? key : `${path}.${key}`, depth + 1))
    }
  }

  attempt(() => add(config, '', 0))
  return entries
}

/** The keys of a container and how to read what is there; nothing for what is not walked. */
function* members(container: object, depth: number): Generator<[key: string, member: () => unknown]> {
  if (isMap(container)) {
    let index = 0
    for (const [key, value] of container) {
      yield [typeof key === 'string' ? key : String(index), () => value]
      index += 1
    }
    return
  }
  if (isSet(container)) {
    let index = 0
    for (const value of container) yield [String(index++), () => value]
    return
  }
  if (depth > 0 && !Array.isArray(container) && !isPlainObject(container)) return
  for (const key of enumerableKeys(container)) yield [keyName(key), () => Reflect.get(container, key)]
}

function revealed(config: unknown, read: ReadSecret): unknown {
  const copies = new Map<object, object>()

  const copy = (value: unknown, depth: number): unknown => {
    if (typeof value !== 'object' || value === null || depth > deepest) return value
    if (isSecret(value)) return read(value)
    const known = copies.get(value)
    if (known !== undefined) return known
    if (Array.isArray(value)) {
      const items: unknown[] = []
      copies.set(value, items)
      for (const item of value) items.push(copy(item, depth + 1))
      return items
    }
    if (depth > 0 && !isPlainObject(value)) return value
    const fields: object = Object.getPrototypeOf(value) === null ? Object.create(null) : {}
    copies.set(value, fields)
    for (const key of enumerableKeys(value)) {
      const field = copy(Reflect.get(value, key), depth + 1)
      // Defined, not assigned: a key `__proto__` stays a key.
      Object.defineProperty(fields, key, {
        value: field,
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
    return fields
  }

  return copy(config, 0)
}

function enumerableKeys(container: object): PropertyKey[] {
  return Reflect.ownKeys(container).filter((key) =>
    Object.prototype.propertyIsEnumerable.call(container, key),
  )
}

function keyName(key: PropertyKey): string {
  return typeof key === 'symbol' ? (key.description ?? 'symbol') : String(key)
}

/** True for `{…}` and null-prototype objects of any realm; false for class instances. */
export function isPlainObject(value: object): boolean {
  const prototype: object | null = Object.getPrototypeOf(value)
  if (prototype === null) return true
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')
}

// By tag, not `instanceof`: a Map of another realm is one too.
function isMap(value: object): value is Map<unknown, unknown> {
  return Object.prototype.toString.call(value) === '[object Map]'
}

function isSet(value: object): value is Set<unknown> {
  return Object.prototype.toString.call(value) === '[object Set]'
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
