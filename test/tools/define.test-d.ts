import { expectTypeOf } from 'vitest'
import { z } from 'zod'
import { z as z3 } from 'zod/v3'
import type { JsonObject } from '../../src/json.ts'
import { tool } from '../../src/tools/define.ts'
import { Tool, type ToolContext } from '../../src/tools/tool.ts'
import { ToolSet } from '../../src/tools/toolset.ts'

const said = { name: 'get_weather', description: 'Current weather for a city' } as const

const typed = tool({
  ...said,
  parameters: z.object({ city: z.string(), days: z.number().default(3) }),
  execute: ({ city, days }, { signal, progress }) => {
    expectTypeOf(city).toEqualTypeOf<string>()
    expectTypeOf(days).toEqualTypeOf<number>()
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
    progress({ done: 1 })
    return city
  },
})
expectTypeOf(typed.execute).parameter(0).toExtend<{ city: string; days: number }>()

const configured = tool({
  ...said,
  parameters: z.object({ city: z.string() }),
  config: z.object({ apiKey: z.string() }),
  effect: 'read',
  execute: async (input, context) => {
    expectTypeOf(input.city).toEqualTypeOf<string>()
    expectTypeOf(input.apiKey).toEqualTypeOf<string>()
    expectTypeOf(context).toEqualTypeOf<ToolContext>()
    // @ts-expect-error no schema declares it
    input.userId
    return { city: input.city }
  },
})

const plain = tool({
  ...said,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  execute: (input) => {
    expectTypeOf(input).toEqualTypeOf<JsonObject>()
    return input['city']
  },
})

const plainConfigured = tool({
  ...said,
  parameters: { type: 'object', properties: {} },
  config: z.object({ apiKey: z.string() }),
  execute: (input) => {
    expectTypeOf(input.apiKey).toExtend<string>()
  },
})

const old = tool({
  ...said,
  parameters: z3.object({ city: z3.string() }),
  execute: ({ city }) => {
    expectTypeOf(city).toEqualTypeOf<string>()
  },
})

const methods = tool({
  ...said,
  parameters: z.object({ city: z.string() }),
  async execute(input) {
    expectTypeOf(input).toEqualTypeOf<{ city: string }>()
  },
})

class Database extends Tool<{ sql: string }> {
  readonly name = 'query'
  readonly description = 'Runs SQL'
  readonly parameters = z.object({ sql: z.string() })
  readonly #rows = 3
  execute({ sql }: { sql: string }): string {
    return `${sql}: ${this.#rows}`
  }
}

// Tools of every kind go together.
new ToolSet({
  name: 'all',
  description: '',
  tools: [typed, configured, plain, plainConfigured, old, methods, new Database()],
})
new ToolSet({ name: 'x', description: '', tools: [], config: async ({ context }) => ({ userId: context }) })

// @ts-expect-error no description
tool({ name: 'x', parameters: z.object({}), execute: () => 1 })
// @ts-expect-error no such effect
tool({ ...said, parameters: z.object({}), effect: 'write', execute: () => 1 })

tool({
  ...said,
  parameters: z.object({ city: z.string() }),
  config: { type: 'object', properties: { apiKey: { type: 'string' } } },
  execute: (input, { config }) => {
    expectTypeOf(input).toEqualTypeOf<{ city: string }>()
    expectTypeOf(config['apiKey']).toEqualTypeOf<unknown>()
  },
})
