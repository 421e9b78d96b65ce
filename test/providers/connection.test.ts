import { afterEach, describe, expect, test, vi } from 'vitest'
import { MissingPackageError } from '../../src/errors.ts'
import { fromEnvironment, loadedOnce, refusing, secretsOf } from '../../src/providers/connection.ts'
import { HttpFailure } from '../../src/providers/errors.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('a package that may not be installed', () => {
  const missing = (name: string) =>
    Object.assign(new Error(`Cannot find package '${name}' imported from /app.js`), {
      code: 'ERR_MODULE_NOT_FOUND',
    })

  test('is loaded once, at the first use', async () => {
    let loads = 0
    const sdk = loadedOnce('groq-sdk', async () => {
      loads += 1
      return { loads }
    })
    expect(loads).toBe(0)
    expect(await Promise.all([sdk(), sdk()])).toEqual([{ loads: 1 }, { loads: 1 }])
  })

  test('is named, with what to run, and found once it is there', async () => {
    const answers: (Error | string)[] = [missing('groq-sdk'), 'sdk']
    const sdk = loadedOnce('groq-sdk', async () => {
      const answer = answers.shift()
      if (typeof answer === 'string') return answer
      throw answer
    })
    const failure = await sdk().catch((thrown: unknown) => thrown)
    expect(failure).toBeInstanceOf(MissingPackageError)
    expect((failure as Error).message).toContain('npm install groq-sdk')
    expect(await sdk()).toBe('sdk')
  })

  test('is not blamed for what is missing inside of it, or broken', async () => {
    const inner = missing('left-pad')
    await expect(loadedOnce('groq-sdk', () => Promise.reject(inner))()).rejects.toBe(inner)
    const broken = new SyntaxError('groq-sdk')
    await expect(loadedOnce('groq-sdk', () => Promise.reject(broken))()).rejects.toBe(broken)
  })
})

test('a fetch that refuses throws what an error status says, and follows no redirect', async () => {
  const asked: (RequestInit | undefined)[] = []
  const answer = (response: Response) =>
    refusing(async (_, init) => {
      asked.push(init)
      return response
    })
  const fine = new Response('ok')
  expect(await answer(fine)('http://a.test', { method: 'POST' })).toBe(fine)
  const refused = new Response('no', { status: 503, headers: { 'retry-after': '1' } })
  const failure = await answer(refused)('http://a.test').catch((thrown: unknown) => thrown)
  expect(failure).toBeInstanceOf(HttpFailure)
  expect(failure).toMatchObject({ status: 503, text: 'no' })
  expect(asked.map((init) => init?.redirect)).toEqual(['manual', 'manual'])
})

test('a fetch that gives its response at once is one all the same', async () => {
  const fetch = refusing((() => Response.json({})) as never)
  expect((await fetch('http://localhost/')).ok).toBe(true)
  const refused = refusing((() => Response.json({}, { status: 429 })) as never)
  await expect(refused('http://localhost/')).rejects.toMatchObject({ status: 429 })
})

test('a blank environment variable is none', () => {
  vi.stubEnv('SOME_KEY', '  ')
  expect(fromEnvironment('SOME_KEY')).toBe(undefined)
  vi.stubEnv('SOME_KEY', ' a\n')
  expect(fromEnvironment('SOME_KEY')).toBe('a')
})

test('what of a connection is secret is known by name and value', () => {
  const connection = {
    apiKey: 'key',
    baseURL: 'https://me:password@a.test/v1',
    defaultHeaders: { Authorization: 'Bearer token', 'x-app': 'name', 'X-Api-Key': 'other' },
  }
  expect(secretsOf(connection)).toEqual([
    { name: 'apiKey', value: 'key' },
    { name: 'baseURL', value: 'password' },
    { name: 'Authorization', value: 'token' },
    { name: 'X-Api-Key', value: 'other' },
  ])
})
