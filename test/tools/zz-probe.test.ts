import { expect, test } from 'vitest'
import { z } from 'zod'
import { Scrubber } from '../../src/scrubber.ts'
import { secret, collectSecrets } from '../../src/secret.ts'
import { tool } from '../../src/tools/define.ts'
import { executeToolCall } from '../../src/tools/execute.ts'
import { ToolRegistry } from '../../src/tools/registry.ts'
import { validate, visibleKeys } from '../../src/tools/schema.ts'
import { ToolSet } from '../../src/tools/toolset.ts'
import { call, scope } from './scope.ts'

const echo = tool({ name: 'echo', description: '', parameters: z.object({}), execute: (_, { config }) => config })
const registryOf = (set: ToolSet) => { const r = new ToolRegistry(); r.registerToolset(set); return r }

test('F1 defaults of configSchema are scrubbed', async () => {
  const set = new ToolSet({ name: 's', description: '', tools: [echo], configSchema: z.object({ token: z.string().default('sk-from-default-1') }) })
  const r = await registryOf(set).dispatch({ toolName: 'echo', parameters: {} })
  expect(JSON.stringify(r)).not.toContain('sk-from')
})
const pem = `-----BEGIN PRIVATE KEY-----\n${Array.from({ length: 20 }, (_, i) => `${i}Ab+/`.repeat(12)).join('\n')}\n-----END PRIVATE KEY-----\n`
test('F2 issue with PEM', () => {
  const schema = z.object({ key: z.string().refine(() => false, { error: ({ input }) => `no such key: ${input}` }) })
  let m = ''
  try { new ToolSet({ name: 's', description: '', tools: [echo], config: { key: secret(pem) }, configSchema: schema }) } catch (e) { m = String(e) }
  expect(m).not.toContain('BEGIN PRIVATE')
  expect(m).not.toContain('0Ab+/')
})
test('F2b overridable', async () => {
  const t = tool({ name: 'echo', description: '', parameters: z.object({ key: z.string().refine(() => false, { error: ({ input }) => `no such key: ${input}` }) }), execute: () => 1 })
  const set = new ToolSet({ name: 's', description: '', tools: [t], config: { key: pem } })
  const r = await registryOf(set).dispatch({ toolName: 'echo', parameters: {} })
  expect(JSON.stringify(r)).not.toContain('0Ab+/')
})
test('F3 late diagnostics', async () => {
  let open = (_: object) => {}
  const set = new ToolSet({ name: 's', description: '', tools: [echo], config: () => new Promise<object>((r) => { open = r }) })
  const s = scope()
  const p = executeToolCall(call('echo', { x: 1 }), registryOf(set), s)
  await Promise.resolve()
  s.controller.abort('stop')
  const o = await p
  open({})
  await new Promise((r) => setImmediate(r))
  expect(s.heard.diagnostics).toEqual([])
  expect(o.result.error?.code).toBe('aborted')
})
test('F4 class config', async () => {
  class Settings { apiKey = 'S3CR3T-012345'; other = secret('S3CR3T-99999') }
  const probe = tool({ name: 'echo', description: '', parameters: z.object({}), execute: (_, { config }) => ({ ...config }) })
  for (const config of [new Settings() as never, () => new Settings()]) {
    const set = new ToolSet({ name: 's', description: '', tools: [probe], config })
    const r = await registryOf(set).dispatch({ toolName: 'echo', parameters: {} })
    expect(r.data).toEqual({ apiKey: '[secret:apiKey]', other: '[secret:other]' })
  }
})
test('F5 exponential', () => {
  const self = { $ref: '#/$defs/a' }
  const t0 = Date.now()
  visibleKeys({ type: 'object', anyOf: [self, self, self], $defs: { a: { anyOf: [self, self] } } })
  console.log('F5', Date.now() - t0)
})
test('F6 refs', () => {
  expect(() => tool({ name: 'x', description: '', execute: () => 1, parameters: { type: 'object', properties: {
    base: { type: 'object', properties: { id: { type: 'string' } } },
    more: { type: 'object', properties: { n: { type: 'number' } }, allOf: [{ $ref: '#/properties/base' }], required: ['id'] } } } })).not.toThrow()
})
test('F7 quadratic', async () => {
  for (const n of [5000, 10000, 20000]) {
    const t0 = Date.now()
    await validate({ type: 'object', properties: { rows: { type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'null' }] } } } }, { rows: Array.from({ length: n }, () => 1) })
    console.log('F7', n, Date.now() - t0)
  }
  for (const n of [50000, 200000, 400000]) {
    const t0 = Date.now()
    console.log(JSON.stringify(await validate({ type: 'object', properties: { rows: { type: 'array', items: { type: 'string' } } } }, { rows: Array.from({ length: n }, () => 1) })).slice(0, 200))
    console.log('F7 plain', n, Date.now() - t0)
  }
})
test('F8 PEM forms', () => {
  const s = new Scrubber(collectSecrets({ key: secret(pem) }))
  for (const [n, f] of Object.entries({ crlf: pem.replaceAll('\n', '\r\n'), lit: pem.replaceAll('\n', '\\n'), json: JSON.stringify(pem), url: encodeURIComponent(pem), b64: btoa(pem) }))
    console.log(n, s.text(f).includes('0Ab'), s.text(f).includes(encodeURIComponent('Ab+/')))
  const e = new Scrubber(collectSecrets({ key: secret(pem.replaceAll('\n', '\\n')) }))
  console.log('env form', e.text(pem).includes('0Ab'))
  const t0 = Date.now()
  new Scrubber([{ name: 'a', value: Array.from({length: 16000}, (_, i) => String.fromCharCode(33 + (i * 7919 % 90))).join('') }]).text('x')
  console.log('build 16k', Date.now() - t0)
  const t1 = Date.now()
  new Scrubber([{ name: 'a', value: pem }]).text('x')
  console.log('build pem', Date.now() - t1)
})
test('F9 mutated', async () => {
  const parameters = { type: 'object', properties: { a: { type: 'string' } } }
  const t = tool({ name: 'echo', description: '', parameters, execute: (i) => i })
  parameters.properties.a.type = 'number'
  const r = new ToolRegistry(); r.register(t)
  console.log(JSON.stringify(await r.definitions()), JSON.stringify(await r.dispatch({ toolName: 'echo', parameters: { a: 'x' } })))
})
test('F10 fit exponential', async () => {
  const self = { $ref: '#/$defs/a' }
  const t0 = Date.now()
  await validate({ type: 'object', allOf: [self, self], $defs: { a: { type: 'object', properties: { q: {} }, allOf: [self, self] } } }, { q: 1 })
  console.log('F10', Date.now() - t0)
})
