import { describe, expect, test } from 'vitest'
import type { LLMClient, LLMRequest } from '../../src/client/client.ts'
import { user } from '../../src/messages.ts'
import { SwitchableClient } from '../../src/resilience/switchable.ts'
import { chunks } from '../../src/testing/script.ts'
import { drain, named, request, textOfChunks, withTools } from './support.ts'

const stage = () => {
  const a = named('a', ['from a', chunks(['from ', 'a'])])
  const b = named('b', ['from b', 'from b'], { tools: false, streaming: false })
  return { a, b, client: new SwitchableClient({ clients: { a, b }, initial: 'a' }) }
}

describe('SwitchableClient', () => {
  test('is the client that was chosen last, and says who answered', async () => {
    const { a, b, client } = stage()
    expect([client.using, client.provider, client.model, client.capabilities]).toEqual([
      'a',
      'a',
      'm',
      a.capabilities,
    ])
    expect(await client.call(request)).toMatchObject({
      text: 'from a',
      answeredBy: { provider: 'a', model: 'm' },
    })
    client.use('b')
    expect([client.using, client.provider, client.capabilities]).toEqual(['b', 'b', b.capabilities])
    expect(await client.call(request)).toMatchObject({
      text: 'from b',
      answeredBy: { provider: 'b', model: 'm' },
    })
  })

  test('does not change a stream that is under way', async () => {
    const { a, b, client } = stage()
    await client.call(request)
    const texts: string[] = []
    for await (const chunk of client.stream(request)) {
      client.use('b')
      if (chunk.type === 'text') texts.push(chunk.text)
    }
    expect([texts, a.calls, b.calls]).toEqual([['from ', 'a'], 2, 0])
    expect(textOfChunks(await drain(client))).toBe('from b')
  })

  test('asks the client that is chosen now in its own words', async () => {
    const { a, b, client } = stage()
    const requestFor = async ({ provider }: LLMClient): Promise<LLMRequest> => ({
      messages: [user(`for ${provider}`)],
    })
    await client.call(request, { requestFor })
    client.use('b')
    await client.call(request, { requestFor })
    await client.call(request, { requestFor })
    expect(a.requests).toEqual([request])
    expect(b.requests).toEqual([{ messages: [user('for b')] }, { messages: [user('for b')] }])
  })

  test('asks in its own words also the client that was chosen while the request was made', async () => {
    const { b, client } = stage()
    client.use('b')
    await client.call(withTools, { requestFor: async () => request })
    expect(b.requests).toEqual([request])
  })

  test('refuses a name that it does not know, and stays as it is', () => {
    const { client } = stage()
    expect(() => client.use('nope' as 'a')).toThrow('SwitchableClient has no client "nope". Known: a, b.')
    expect(client.using).toBe('a')
    // @ts-expect-error: names are known to the compiler
    expect(() => new SwitchableClient({ clients: { a: named('a', []) }, initial: 'b' })).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'initial' }),
    )
  })

  test.each([
    ['clients.a', { a: 'gpt' }],
    ['clients', []],
  ])('refuses %s', (path, clients) => {
    expect(() => new SwitchableClient({ clients: clients as never, initial: 'a' as never })).toThrow(
      expect.objectContaining({ code: 'configuration', path }),
    )
  })

  test('closes all of them', async () => {
    const { a, b, client } = stage()
    await client.close()
    expect([a.closed, b.closed]).toEqual([true, true])
  })
})
