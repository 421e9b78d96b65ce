import { ConfigurationError, shown } from './errors.ts'

/** What an option has to be, and how to find out what is wrong with it. Made by the small functions below. */
export interface Check {
  /** Completes "must be …". */
  readonly wanted: string
  /** `undefined` is then as good as absent. */
  readonly isOptional?: true
  /** The first thing that is wrong, if any. `path` is where `value` stands, such as `retry.attempts`. */
  find(value: unknown, path: string): Fault | undefined
}

export type Checks = Readonly<Record<string, Check>>

export interface Fault {
  readonly path: string
  /** Completes "Agent option maxIterations …". */
  readonly says: string
  readonly value: unknown
  /** An option of that name does not exist. */
  readonly unknown?: true
}

/**
 * Checks an option bag of `owner` (`Agent`, `tool()`), before anything is done with it.
 *
 * @throws ConfigurationError naming the first option that is wrong, missing or unknown, with what it should have been.
 */
export function checkOptions(owner: string, options: unknown, checks: Checks): void {
  raise(
    owner,
    isBag(options) ? (findUnknown(options, checks, '') ?? findWrong(options, checks, '')) : notABag(options),
  )
}

/** As `checkOptions`, for an object that may well have more members than these: a class instance, someone's client. */
export function checkMembers(owner: string, value: unknown, checks: Checks, path = ''): void {
  raise(owner, isBag(value) ? findWrong(value, checks, path) : notABag(value, path))
}

// Functions that make checks are marked as free of side effects: a bundler then drops the checks that nobody uses.

/** Any text, also an empty one. */
/* @__NO_SIDE_EFFECTS__ */
export function text(): Check {
  return that('a string', (value) => typeof value === 'string')
}

/** A text with something in it besides blanks. */
/* @__NO_SIDE_EFFECTS__ */
export function filledText(): Check {
  return that('a string that is not empty', (value) => typeof value === 'string' && value.trim() !== '')
}

/** Both ends included. */
/* @__NO_SIDE_EFFECTS__ */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Check {
  return that(
    max === Number.MAX_SAFE_INTEGER ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`,
    (value) => Number.isSafeInteger(value) && isBetween(value, min, max),
  )
}

/** Finite, both ends included. */
/* @__NO_SIDE_EFFECTS__ */
export function number(min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY): Check {
  return that(numberWanted(min, max), (value) => Number.isFinite(value) && isBetween(value, min, max))
}

/** A time of more than 0 ms; `Infinity` is not one, leave the option out instead. */
/* @__NO_SIDE_EFFECTS__ */
export function positiveMs(): Check {
  return that(
    'a number of milliseconds greater than 0',
    (value) => typeof value === 'number' && Number.isFinite(value) && value > 0,
  )
}

/* @__NO_SIDE_EFFECTS__ */
export function flag(): Check {
  return that('true or false', (value) => typeof value === 'boolean')
}

/* @__NO_SIDE_EFFECTS__ */
export function fn(): Check {
  return that('a function', (value) => typeof value === 'function')
}

/* @__NO_SIDE_EFFECTS__ */
export function oneOf(...values: readonly (string | number | boolean | null)[]): Check {
  return that(
    `one of ${values.map((value) => JSON.stringify(value)).join(', ')}`,
    (value) => (values as readonly unknown[]).includes(value), // widened only to compare
  )
}

/** An object; with `shape`, one with these members and no others. */
/* @__NO_SIDE_EFFECTS__ */
export function object(shape?: Checks): Check {
  return {
    wanted: 'an object',
    find: (value, path) => {
      if (!isBag(value)) return notABag(value, path)
      return shape && (findUnknown(value, shape, path) ?? findWrong(value, shape, path))
    },
  }
}

/* @__NO_SIDE_EFFECTS__ */
export function list(of: Check): Check {
  return {
    wanted: `an array of which each item is ${of.wanted}`,
    find: (value, path) => {
      if (!Array.isArray(value)) return { path, says: 'must be an array', value }
      // Not `findIndex`: the holes of a sparse array are wrong too.
      for (let index = 0; index < value.length; index += 1) {
        const fault = of.find(value[index], `${path}[${index}]`)
        if (fault) return fault
      }
      return undefined
    },
  }
}

/** An object in which every member is `of`, whatever its name. */
/* @__NO_SIDE_EFFECTS__ */
export function record(of: Check): Check {
  return {
    wanted: `an object of which each member is ${of.wanted}`,
    find: (value, path) => {
      if (!isBag(value)) return notABag(value, path)
      for (const [name, each] of Object.entries(value)) {
        const fault = of.find(each, `${path}.${name}`)
        if (fault) return fault
      }
      return undefined
    },
  }
}

/* @__NO_SIDE_EFFECTS__ */
export function optional(check: Check): Check {
  return {
    ...check,
    isOptional: true,
    find: (value, path) => (value === undefined ? undefined : check.find(value, path)),
  }
}

/** Fits if one of `checks` does. */
/* @__NO_SIDE_EFFECTS__ */
export function either(...checks: readonly Check[]): Check {
  return that(checks.map(({ wanted }) => wanted).join(', or '), (value) =>
    checks.some((check) => !check.find(value, '')),
  )
}

/** Keeps the value, and everything in it, out of messages and errors: for credentials and what may hold them. */
/* @__NO_SIDE_EFFECTS__ */
export function hidden(check: Check): Check {
  return {
    ...check,
    find: (value, path) => {
      const fault = check.find(value, path)
      return fault && { ...fault, value: hiddenValue }
    },
  }
}

/** Whatever `test` accepts; `wanted` completes "must be …". */
/* @__NO_SIDE_EFFECTS__ */
export function that(wanted: string, test: (value: unknown) => boolean): Check {
  return {
    wanted,
    find: (value, path) => (test(value) ? undefined : { path, says: `must be ${wanted}`, value }),
  }
}

/** The checks of two parts of an option bag. */
/* @__NO_SIDE_EFFECTS__ */
export function joined<Some extends Checks, Others extends Checks>(
  some: Some,
  others: Others,
): Some & Others {
  return { ...some, ...others }
}

/** The same options but for those that are undefined, which count as absent: to be spread over defaults. */
export function given<Options extends object>(options: Options | undefined): Options {
  return Object.fromEntries(
    Object.entries(options ?? {}).filter(([, value]) => value !== undefined),
  ) as Options // as before, but for members that were as good as absent
}

/**
 * The candidate that `name` was most likely meant to be: the same but for case, `_` and `-`, or a few letters off.
 * The first of equals.
 */
export function didYouMean(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = bare(name.slice(0, longestName))
  if (name.length > longestName || wanted === '') return undefined
  const tolerance = Math.max(1, Math.floor(wanted.length / 3))
  let best: string | undefined
  let bestDistance = tolerance + 1
  for (const candidate of candidates) {
    if (candidate.length > longestName) continue
    const found = bare(candidate)
    if (Math.abs(found.length - wanted.length) >= bestDistance) continue
    const distance = editDistance(wanted, found)
    if (distance < bestDistance && distance < wanted.length) [best, bestDistance] = [candidate, distance]
  }
  return best
}

// Longer names are nobody's typing mistake, and the distance takes the product of both lengths.
const longestName = 100

const bare = (name: string): string => name.toLowerCase().replace(/[_-]/g, '')

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + (same ? 0 : 1),
      )
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (isSwap) cost = Math.min(cost, at(beforeLast, column - 2) + 1)
      current.push(cost)
    }
    beforeLast = last
    last = current
  }
  return at(last, b.length)
}

const at = (row: readonly number[], column: number): number => row[column] ?? Number.POSITIVE_INFINITY

const hiddenValue: unique symbol = Symbol('hidden')

function raise(owner: string, fault: Fault | undefined): void {
  if (fault === undefined) return
  const { path, says, value, unknown } = fault
  const isHidden = value === hiddenValue
  const subject = path === '' ? `${owner} options` : `${owner} option ${path}`
  const message = unknown
    ? `${owner} has no option ${says}`
    : `${subject} ${says}${isHidden ? '' : `, got ${shown(value)}`}.`
  throw new ConfigurationError(path || 'options', message, isHidden ? {} : { value })
}

function notABag(value: unknown, path = ''): Fault {
  return { path, says: 'must be an object', value }
}

function findWrong(bag: object, checks: Checks, path: string): Fault | undefined {
  for (const [name, check] of Object.entries(checks)) {
    const at = path === '' ? name : `${path}.${name}`
    const fault = check.find(Reflect.get(bag, name), at)
    if (fault) return fault
  }
  return undefined
}

function findUnknown(bag: object, checks: Checks, path: string): Fault | undefined {
  const known = Object.keys(checks)
  const name = Object.keys(bag).find((key) => !known.includes(key))
  if (name === undefined) return undefined
  const meant = didYouMean(name, known)
  const cure = meant === undefined ? `Known: ${known.join(', ')}.` : `Did you mean ${JSON.stringify(meant)}?`
  const at = path === '' ? name : `${path}.${name}`
  // A name can be as long as what was pasted there by mistake.
  return { path: at, says: `${shown(at)}. ${cure}`, value: undefined, unknown: true }
}

function isBag(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isBetween(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && value >= min && value <= max
}

function numberWanted(min: number, max: number): string {
  if (max < Number.POSITIVE_INFINITY) return `a number from ${min} to ${max}`
  return min > Number.NEGATIVE_INFINITY ? `a number of at least ${min}` : 'a finite number'
}
