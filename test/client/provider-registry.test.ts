import { describe, expect, test } from 'vitest'
import { ProviderRegistry } from '../../src/client/provider-registry.ts'
import { ProviderNotFoundError } from '../../src/errors.ts'
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

  test('shares nothing with another registry', () => {
    new ProviderRegistry().register('a', scripted)
    expect(new ProviderRegistry().list()).toEqual([])
  })
})
