import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  InvalidToolSchemaError,
  type JsonObject,
  type JsonSchema,
  Tool,
  ToolRegistry,
  type ToolResult,
  tool,
  toolError,
} from '../../src/index.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { calls, ScriptedClient, strictProvider } from '../../src/testing/index.ts'

/** What a call of `one` comes to. */
async function resultOf(one: Tool, parameters: JsonObject): Promise<ToolResult> {
  const tools = new ToolRegistry()
  tools.register(one)
  return tools.dispatch({ toolName: one.name, parameters })
}

const inZod = z.object({
  query: z.string().describe('What to look for'),
  limit: z.int().min(1).max(50).default(10),
  order: z.enum(['new', 'old']).optional(),
})

const inJson: JsonSchema = {
  type: 'object',
  properties: {
    query: { type: 'string', description: 'What to look for' },
    limit: { type: 'integer', minimum: 1, maximum: 50, default: 10 },
    order: { type: 'string', enum: ['new', 'old'] },
  },
  required: ['query'],
}

const about = { name: 'search', description: 'Searches the archive' }
const forms = [
  ['zod', tool({ ...about, parameters: inZod, execute: (input) => input })],
  ['JSON Schema', tool({ ...about, parameters: inJson, execute: (input) => input })],
] as const

describe('seed 002, tools', () => {
  it.each(forms)('002-16 shows the model the same definition for %s', async (_, search) => {
    await using server = await strictProvider({ script: [{ text: 'Done.' }] })
    const client = new OpenAIClient({ baseURL: server.url, apiKey: 'not-needed', model: 'local' })
    await new Agent({ client, tools: [search], planning: 'off' }).run('Go.')

    const written = { type: 'function', function: { ...about, parameters: inJson } }
    expect(server.requests.map(({ body }) => body['tools'])).toEqual([[written]])
  })

  it.each(forms)('002-17 fills in the defaults of %s', async (_, search) => {
    expect(await resultOf(search, { query: 'x' })).toMatchObject({
      ok: true,
      data: { query: 'x', limit: 10 },
    })
  })

  it('002-18 fetches over HTTP from a function, with parameters encoded and a bad status as a failure', async () => {
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.statusCode = request.url === '/users/7' ? 200 : 404
      response.end('{"name":"Ada"}')
    })
    onTestFinished(() => void server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo // it listens on a port
    const getUser = tool({
      name: 'get_user',
      description: 'A user by id',
      parameters: z.object({ user_id: z.union([z.number(), z.string()]) }),
      execute: async ({ user_id }, { signal }) => {
        const url = `http://127.0.0.1:${port}/users/${encodeURIComponent(user_id)}`
        const response = await fetch(url, { signal, headers: { connection: 'close' } })
        return response.ok ? response.json() : toolError(`HTTP ${response.status}`)
      },
    })

    expect(await resultOf(getUser, { user_id: 7 })).toMatchObject({ ok: true, data: { name: 'Ada' } })
    expect(await resultOf(getUser, { user_id: '../a b' })).toMatchObject({
      ok: false,
      output: 'Error: HTTP 404',
    })
    expect(asked).toEqual(['GET /users/7', 'GET /users/..%2Fa%20b'])
  })

  it('002-19 takes a class that holds state of its own', async () => {
    class DatabaseTool extends Tool<{ table: string }> {
      readonly name = 'count_rows'
      readonly description = 'Counts the rows of a table'
      readonly parameters = z.object({ table: z.string() })
      readonly #rows: ReadonlyMap<string, number>

      constructor(rows: ReadonlyMap<string, number>) {
        super()
        this.#rows = rows
      }

      override execute({ table }: { table: string }): number {
        return this.#rows.get(table) ?? 0
      }
    }
    const client = new ScriptedClient([calls(['count_rows', { table: 'users' }]), 'There are 3.'])
    const agent = new Agent({ client, tools: [new DatabaseTool(new Map([['users', 3]]))] })

    expect(await agent.run('How many users?')).toBe('There are 3.')
    expect(agent.history[2]).toMatchObject({ role: 'tool', content: '3', ok: true })
  })

  const circular: { self?: unknown } = {}
  circular.self = circular
  it.each([
    ['an object', { a: 1 }, '{"a":1}'],
    ['undefined', undefined, '(no output)'],
    ['null', null, '(no output)'],
    ['an empty string', '', '(no output)'],
    ['a number', 0, '0'],
    ['false', false, 'false'],
    ['a BigInt', 10n, '10'],
    ['a BigInt inside', { a: 10n }, '{"a":"10"}'],
    ['a cycle', circular, '{"self":"[circular]"}'],
    ['text that begins with "Error"', 'Errors found: 0', 'Errors found: 0'],
  ])('002-20 writes %s down for the model', async (_, value, output) => {
    const give = tool({
      name: 'give',
      description: 'Gives it',
      parameters: z.object({}),
      execute: () => value,
    })
    expect(await resultOf(give, {})).toMatchObject({ ok: true, output })
  })

  it.each(forms)('002-32 names the field and the allowed values of a wrong enum (%s)', async (_, search) => {
    const { ok, error } = await resultOf(search, { query: 'x', order: 'random' })
    expect({ ok, code: error?.code }).toEqual({ ok: false, code: 'tool_input' })
    expect(error?.message).toMatch(/order: .*"new".*"old"/)
  })

  it('002-32 does not execute a tool whose required parameter is missing', async () => {
    let executed = 0
    const search = tool({ ...about, parameters: inJson, execute: () => ++executed })
    const { ok, error } = await resultOf(search, { limit: 3 })

    expect({ ok, code: error?.code, executed }).toEqual({ ok: false, code: 'tool_input', executed: 0 })
    expect(error?.message).toContain('query')
  })

  it.each([
    ['a map of names to types', { param: 'string' }],
    ['an array at the top', { type: 'array', items: { type: 'string' } }],
    ['an unknown type', { type: 'object', properties: { a: { type: 'text' } } }],
    ['required that is no list', { type: 'object', properties: { a: { type: 'string' } }, required: 'a' }],
  ])('002-32 refuses a schema that is %s when the tool is made', (_, parameters) => {
    expect(() => tool({ ...about, parameters, execute: () => '' })).toThrow(InvalidToolSchemaError)
  })

  it('002-32 refuses such a schema of a plain object when it is registered', () => {
    const agent = new Agent({ client: new ScriptedClient([]) })
    const plain = { ...about, parameters: { param: 'string' }, execute: () => '' }
    expect(() => agent.registerTool(plain)).toThrow(InvalidToolSchemaError)
    expect(agent.listTools()).toEqual([])
  })
})
