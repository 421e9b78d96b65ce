import { test } from 'vitest'
import { z } from 'zod'
import { Agent, tool } from '../src/index.ts'
import { calls, ScriptedClient } from '../src/testing/index.ts'

const add = tool({
  name: 'add',
  description: 'Adds two numbers',
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => a + b,
})
const tools = Array.from({ length: 20 }, (_, index) =>
  tool({ name: `tool_${index}`, description: 'Does', parameters: z.object({}), execute: () => 'ok' }),
)

test('making an agent', async ({ bench }) => {
  const client = new ScriptedClient(() => 'ok')
  await bench.compare(
    bench('without tools', () => {
      new Agent({ client })
    }),
    bench('with 20 tools', () => {
      new Agent({ client, tools })
    }),
  )
})

test('a run', async ({ bench }) => {
  await bench.compare(
    bench('of one reply', async () => {
      await new Agent({ client: new ScriptedClient(['ok']) }).run('Hello?')
    }),
    bench('of a tool call and a reply', async () => {
      const client = new ScriptedClient([calls(['add', { a: 1, b: 2 }]), '3'])
      await new Agent({ client, tools: [add] }).run('1 + 2?')
    }),
  )
})
