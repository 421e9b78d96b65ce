import { deepStrictEqual } from 'node:assert/strict'
import { inspect } from 'node:util'

export function same(actual: unknown, expected: unknown, what: string): void {
  try {
    deepStrictEqual(actual, expected)
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

export async function thrownBy(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    const value = await promise
    throw new Served(value)
  } catch (error) {
    if (error instanceof Served) {
      throw new Error(`It should have failed, and gave ${inspect(error.value)}.`, { cause: error })
    }
    return error
  }
}

class Served extends Error {
  readonly value: unknown

  constructor(value: unknown) {
    super('It was served.')
    this.value = value
  }
}
