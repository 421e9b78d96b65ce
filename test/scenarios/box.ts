import { z } from 'zod'
import { type JsonValue, secret, systemRuntime, ToolSet, tool } from '../../src/index.ts'

// Every spelling of it is another one.
export const canary = 'cânary "key"/4711>>>?~?\n~end'

/** The canary in every spelling in which it could get out. */
export function spellings(text: string): string[] {
  const bytes = Buffer.from(text)
  return [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
  ]
}

export const forever = (): Promise<never> => new Promise(() => {})

/** What `give` can be asked for: what no provider could be sent as it is. */
const gifts: ReadonlyMap<string, () => unknown> = new Map<string, () => unknown>([
  ['empty', () => ''],
  ['nothing', () => undefined],
  ['long', () => '👍'.repeat(60_000)],
  ['bigint', () => ({ count: 10n ** 20n })],
  [
    'cycle',
    () => {
      const value: Record<string, unknown> = { name: 'ring' }
      value['self'] = value
      return value
    },
  ],
  ['half', () => 'half \ud83d of a pair'],
])

/** Tools that write down in the run's context what they did. */
export const box = new ToolSet({
  name: 'box_tools',
  description: 'Everything about boxes',
  config: { apiKey: secret(canary) },
  tools: [
    tool({
      name: 'look',
      description: 'Looks somewhere',
      parameters: z.object({ where: z.string() }),
      execute: ({ where }, { context, idempotencyKey }) => {
        if (Array.isArray(context)) context.push(idempotencyKey)
        if (where === 'nowhere') throw new Error('There is no such place.')
        return `A ${where}.`
      },
    }),
    tool({
      name: 'give',
      description: 'Gives something odd',
      parameters: z.object({ what: z.string() }),
      execute: ({ what }) => gifts.get(what)?.(),
    }),
    tool({
      name: 'wait',
      description: 'Waits until it is told to stop, or for good',
      parameters: z.object({ patient: z.boolean() }),
      execute: async ({ patient }, { signal }) => {
        await (patient ? forever() : systemRuntime.sleep(2 ** 31, signal))
      },
    }),
    tool({
      name: 'leak',
      description: 'Tells what it should not',
      parameters: z.object({ how: z.enum(['return', 'throw', 'data']) }),
      execute: ({ how }, { config, progress }): JsonValue => {
        const said = spellings(String(config['apiKey']))
        progress({ said })
        if (how === 'throw') throw new Error(said.join(' '))
        return how === 'return' ? said.join(' ') : Object.fromEntries(said.map((text) => [text, text]))
      },
    }),
  ],
})
