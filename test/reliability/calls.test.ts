import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Agent } from '../../src/index.ts'
import { strictProvider } from '../../src/testing/index.ts'
import { watchRejections } from '../agent/aftermath.ts'
import { damagedHistory, hostileHistory } from '../memory/histories.ts'
import { adapters, deliveries, isQuiet, look, looks, play } from './support.ts'

watchRejections()

/** What models send in the place of one JSON object. */
const noObjects: readonly string[] = [
  '{',
  '}',
  '{"where"',
  '{"where":',
  '{"where":"b',
  '{"where":"box"',
  '{"where":"box",',
  '{"where":"box","w',
  '{"where":"\\u00',
  '{"where":"\\',
  '{"where":"box"}}',
  '{"where":"box"}{"where":"hat"}',
  '{"where":"box"},"b":2}',
  '{"where":"box"} and so on',
  '[{"where":"box"}]',
  '[',
  'null',
  'true',
  '7',
  'NaN',
  '"box"',
  '"{\\"where\\":\\"box\\"}"',
  'box',
  '<where>box</where>',
  `{"where":${'['.repeat(2_000)}`,
  `{"where":"${'x'.repeat(5_000)}`,
]

describe.each(adapters)('$name', (adapter) => {
  test('B1 parameters that are no JSON object run nothing, and the model is told so once for each call', async () => {
    for (const { how, streams } of deliveries) {
      // Its whole replies have no room for parameters that are no object.
      if (adapter.wire === 'messages' && !streams) continue
      const toolCalls = noObjects.map((parameters) => ({ toolName: 'look', parameters }))
      const { results, ...told } = await play(adapter, {
        streams,
        script: [{ toolCalls }, { text: 'Sorry.' }],
      })
      expect(told, how).toEqual({ status: 'done', answer: 'Sorry.', ran: [], requests: 2, faults: [] })
      expect(results, how).toHaveLength(noObjects.length)
      for (const result of results) {
        expect(result, how).toMatch(/^Error: Invalid JSON parameters: /)
        expect(result.length, how).toBeLessThan(700)
      }
    }
  })

  test('B1 parameters are read when they are whole, wherever they are cut before', async () => {
    const whole = ' {"where":"b\\u00f6x \\ud83d\\udc4d","also":{"a":1}} \n'
    const twice = '{"where":"box"},"b":2}'
    for (let pieces = 1; pieces <= whole.length; pieces += 3) {
      const script = [
        { toolCalls: [whole, twice].map((parameters) => ({ toolName: 'look', parameters })) },
        { text: 'Done.' },
      ]
      const { results, ...told } = await play(adapter, { script, provider: { pieces } })
      expect(told, `${pieces}`).toEqual({
        status: 'done',
        answer: 'Done.',
        ran: ['böx 👍'],
        requests: 2,
        faults: [],
      })
      expect(results, `${pieces}`).toEqual(['A böx 👍.', expect.stringContaining('Invalid JSON parameters')])
    }
  })

  test('B2 calls without results and results without calls are repaired before they are sent', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'Here.' }) })
    const client = adapter.clientOf(provider)
    // A list of no parts is the caller's mistake, and told to the caller.
    const sayable = fc
      .oneof(hostileHistory, damagedHistory)
      .filter((history) => history.every(({ content }) => typeof content === 'string' || content.length > 0))
    const histories = fc.sample(sayable, { numRuns: 60, seed: 2 })
    for (const contextWindow of [2_000, 1_000_000]) {
      const ran: string[] = []
      await using agent = new Agent({ client, contextWindow, maxOutputTokens: 100, tools: [look(ran)] })
      for (const history of histories) expect(await agent.run('Go.', { history })).toBe('Here.')
      expect(ran).toEqual([])
    }
    expect(provider.refusals).toEqual([])
    expect(await isQuiet(provider)).toBe(true)
  })

  test('B5 a reply cut at its limit runs none of its calls, wherever it is cut', async () => {
    const parameters = '{"where":"a box with a long name"}'
    for (const { streams } of deliveries) {
      for (const share of [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]) {
        const cut = parameters.slice(0, Math.floor(parameters.length * share))
        const toolCalls = [parameters, cut].map((text) => ({ toolName: 'look', parameters: text }))
        const script = [{ toolCalls, stop: 'length' } as const, looks('hat'), { text: 'A hat.' }]
        expect(await play(adapter, { streams, script }), `${share}, ${streams}`).toEqual({
          status: 'done',
          answer: 'A hat.',
          results: ['A hat.'],
          ran: ['hat'],
          requests: 3,
          faults: [],
        })
      }
    }
  })
})
