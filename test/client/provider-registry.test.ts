import { describe, expect, test } from 'vitest'
import { defineProvider, ProviderRegistry } from '../../src/client/provider-registry.ts'
import { ProviderNotFoundError } from '../../src/errors.ts'
import { secret } from '../../src/secret.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'

const scripted = (model: string) => new ScriptedClient([], { model })

describe('a provider registry', () => {
  test('makes the client of a model from its name', () => {
    const providers = new ProviderRegistry()
      .register('custom', scripted, { description: 'Ours' })
      .register('b', scripted)
    expect(providers.resolve('custom/m').model).toBe('m')
    expect(providers.list()).toEqual([{ name: 'custom', description: 'Ours' }, { name: 'b' }])
    expect([providers.has('custom'), providers.has('other')]).toEqual([true, false])
  })

  test('splits at the first slash only', () => {
    const providers = new ProviderRegistry().register('openrouter', scripted)
    expect(providers.resolve('openrouter/meta/llama-3/70b').model).toBe('meta/llama-3/70b')
  })

  test('names what there is when a provider is unknown', () => {
    const providers = new ProviderRegistry().register('a', scripted).register('b', scripted)
    for (const name of ['acme', 'constructor', '__proto__']) {
      expect(providers.has(name)).toBe(false)
      const error = (() => {
        try {
          return providers.resolve(`${name}/large`)
        } catch (thrown) {
          return thrown
        }
      })()
      expect(error).toBeInstanceOf(ProviderNotFoundError)
      expect(error).toMatchObject({ provider: name, available: ['a', 'b'] })
    }
  })

  test.each(['', 'gpt-5', '/gpt-5', 'openai/', '/', undefined, null, 5])(
    'refuses %j as the name of a model',
    (spec) => {
      const providers = new ProviderRegistry().register('openai', scripted)
      expect(() => providers.resolve(spec as string)).toThrow(
        expect.objectContaining({ code: 'configuration', path: 'spec' }),
      )
    },
  )

  test('refuses names it could not resolve, names that are taken, and what makes no client', () => {
    const providers = new ProviderRegistry().register('a', scripted)
    for (const name of ['', 'a/b', 'a', undefined]) {
      expect(() => providers.register(name as string, scripted)).toThrow(
        expect.objectContaining({ code: 'configuration', path: 'name' }),
      )
    }
    expect(() => providers.register('b', {} as () => ScriptedClient)).toThrow('needs a function')
    providers.register('nothing', () => undefined as unknown as ScriptedClient)
    expect(() => providers.resolve('nothing/m')).toThrow(
      'The factory of the provider "nothing" must return a client with a call() method, got undefined.',
    )
  })

  test('hands what is configured to the factory, asking a function for the key at every client', () => {
    let key = 'key-0'
    const made: unknown[] = []
    const providers = new ProviderRegistry().register('a', (model, connection) => {
      made.push(connection)
      return scripted(model)
    })
    providers.resolve('a/m')
    providers.configure('a', { apiKey: () => key, baseURL: 'http://localhost/v1', defaultModel: 'small' })
    expect(providers.resolve('a').model).toBe('small')
    key = 'key-1'
    providers.resolve('a/m')
    providers.configure('a', { apiKey: secret('key-2') }).resolve('a/m')
    providers.configure('a', { apiKey: () => undefined }).resolve('a/m')
    const baseURL = 'http://localhost/v1'
    expect(made).toEqual([
      {},
      { apiKey: 'key-0', baseURL },
      { apiKey: 'key-1', baseURL },
      { apiKey: 'key-2' },
      {},
    ])
    expect(() => providers.resolve('a')).toThrow(expect.objectContaining({ path: 'spec' }))
  })

  test('leaves a client as it is of which nothing was said', () => {
    const client = scripted('m')
    const providers = new ProviderRegistry().register('a', () => client).defaults('other', { temperature: 1 })
    expect(providers.resolve('a/m')).toBe(client)
  })

  test('takes a provider as one thing', () => {
    const acme = defineProvider({ name: 'acme', description: 'Ours', create: ({ model }) => scripted(model) })
    const providers = new ProviderRegistry().register(acme)
    expect([providers.resolve('acme/m').model, providers.list()]).toEqual([
      'm',
      [{ name: 'acme', description: 'Ours' }],
    ])
    for (const [path, value] of [
      ['name', 'a/b'],
      ['create', undefined],
      ['model', 'm'],
    ]) {
      expect(() => defineProvider({ ...acme, [path as string]: value } as never)).toThrow(
        expect.objectContaining({ code: 'configuration', path }),
      )
    }
  })

  test('refuses to configure what is not there or cannot be, and shows no key then', () => {
    const providers = new ProviderRegistry().register('a', scripted)
    expect(() => providers.configure('b', {})).toThrow(ProviderNotFoundError)
    for (const [path, value] of [
      ['apiKey', ''],
      ['defaultModel', ''],
      ['params.temperature', -1],
      ['key', 'sk-0123456789'],
    ] as const) {
      const config = path === 'params.temperature' ? { params: { temperature: value } } : { [path]: value }
      expect(() => providers.configure('a', config as never)).toThrow(
        expect.objectContaining({ path, message: expect.not.stringContaining('sk-0123456789') }),
      )
    }
    expect(() => providers.defaults('m', { seed: 0.5 })).toThrow(
      expect.objectContaining({ path: 'params.seed' }),
    )
    expect(() => providers.defaults('', {})).toThrow(expect.objectContaining({ path: 'model' }))
  })

  test('shares nothing with another registry', () => {
    new ProviderRegistry().register('a', scripted)
    expect(new ProviderRegistry().list()).toEqual([])
  })
})
