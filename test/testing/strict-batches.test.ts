import { expect, test } from 'vitest'
import { type StrictProvider, type StrictTurn, strictProvider } from '../../src/testing/index.ts'

const chat = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] }
const line = { custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body: chat }
const message = { model: 'claude', max_tokens: 5, messages: [{ role: 'user', content: 'Hi' }] }
const signed = { authorization: 'Bearer sk-test', 'anthropic-version': '2026-10-21' }

async function asked(url: string, body?: unknown, headers: Record<string, string> = signed) {
  const isForm = body instanceof FormData
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { ...(body !== undefined && !isForm && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: isForm ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  try {
    return { status: response.status, body: JSON.parse(text) }
  } catch {
    return { status: response.status, body: text }
  }
}

function form(lines: readonly unknown[], { purpose = 'batch', name = 'a.jsonl' } = {}): FormData {
  const text = lines.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join('\n')
  const data = new FormData()
  data.set('purpose', purpose)
  data.set('file', new File([text], name))
  return data
}

const rulesOf = ({ refusals }: StrictProvider) => refusals.map(({ rule }) => rule)

/** The batch of a file, as it is begun. */
async function begun({ url }: StrictProvider, lines: readonly unknown[]) {
  const { body: file } = await asked(`${url}/files`, form(lines))
  const batch = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' }
  return (await asked(`${url}/batches`, batch)).body
}

test('OpenAI: a batch goes from validating to completed, more of it done with each look', async () => {
  await using provider = await strictProvider({ script: () => ({ text: 'ok' }), batchPolls: 3 })
  const batch = await begun(
    provider,
    ['a', 'b', 'c', 'd'].map((custom_id) => ({ ...line, custom_id })),
  )
  expect(batch).toMatchObject({ id: 'batch_1', status: 'validating', request_counts: { total: 0 } })
  const looks = []
  for (let look = 0; look < 5; look += 1) looks.push((await asked(`${provider.url}/batches/batch_1`)).body)
  expect(
    looks.map(({ status, request_counts, output_file_id }) => [
      status,
      request_counts.completed,
      output_file_id,
    ]),
  ).toEqual([
    ['in_progress', 1, null],
    ['in_progress', 2, null],
    ['finalizing', 3, null],
    ['completed', 4, 'file-output-batch_1'],
    ['completed', 4, 'file-output-batch_1'],
  ])
  expect(provider.refusals).toEqual([])
})

test('OpenAI: answers are in one file and failures in the other, and a batch with one that was not got to has expired', async () => {
  const script: StrictTurn[] = [{ text: 'ok' }, { fault: 'overloaded' }, { fault: 'expired' }]
  await using provider = await strictProvider({ script, batchPolls: 0 })
  await begun(
    provider,
    ['a', 'b', 'c'].map((custom_id) => ({ ...line, custom_id })),
  )
  const { body: batch } = await asked(`${provider.url}/batches/batch_1`)
  expect(batch).toMatchObject({ status: 'expired', request_counts: { total: 3, completed: 1, failed: 2 } })
  const contents = async (id: string) =>
    String((await asked(`${provider.url}/files/${id}/content`)).body)
      .trim()
      .split('\n')
      .map((each) => JSON.parse(each))
  const [expired, failed] = await contents(batch.error_file_id)
  expect(expired).toMatchObject({ custom_id: 'c', response: null, error: { code: 'batch_expired' } })
  expect(failed).toMatchObject({ custom_id: 'b', response: { status_code: 529 }, error: null })
})

test.each<[string, readonly unknown[]]>([
  ['empty_file', []],
  ['invalid_json_line', [line, '{"custom_id":']],
  ['invalid_custom_id', [{ ...line, custom_id: '' }]],
  ['duplicate_custom_id', [line, line]],
  ['invalid_method', [{ ...line, method: 'GET' }]],
  ['invalid_url', [{ ...line, url: '/v1/embeddings' }]],
  ['missing_required_parameter', [{ ...line, body: undefined }]],
  ['mismatched_model', [line, { ...line, custom_id: 'b', body: { ...chat, model: 'gpt-5' } }]],
  ['invalid_value', [{ ...line, body: { ...chat, stream: true } }]],
])('OpenAI: %s fails a batch as a whole, once it is looked through', async (code, lines) => {
  await using provider = await strictProvider({ script: () => ({ text: 'ok' }) })
  expect(await begun(provider, lines)).toMatchObject({ status: 'validating', errors: null })
  const { body } = await asked(`${provider.url}/batches/batch_1`)
  expect(body).toMatchObject({ status: 'failed', output_file_id: null })
  expect(body.errors.data.map((each: { code: string }) => each.code)).toEqual([code])
  expect(rulesOf(provider)).toEqual([code])
})

test('OpenAI: refuses what is no upload, and no batch', async () => {
  await using provider = await strictProvider({ keys: ['sk-test'] })
  const { url } = provider
  await asked(`${url}/files`, form([line]), {})
  await asked(`${url}/files`, {})
  await asked(`${url}/files`, form([line], { purpose: 'assistants' }))
  await asked(`${url}/files`, form([line], { name: 'a.txt' }))
  await asked(`${url}/files/file-7/content`)
  const batch = { input_file_id: 'file-1', endpoint: '/v1/chat/completions', completion_window: '24h' }
  for (const wrong of [
    batch,
    { ...batch, input_file_id: undefined },
    { ...batch, endpoint: '/v1/else' },
    { ...batch, completion_window: '1h' },
    { ...batch, extra: 1 },
  ])
    await asked(`${url}/batches`, wrong)
  await asked(`${url}/batches/batch_1`)
  await asked(`${url}/batches/batch_1/cancel`, {})
  await asked(`${url}/batches/batch_1/more/of/it`)
  expect(rulesOf(provider)).toEqual([
    'authorization',
    'multipart',
    'purpose',
    'file_format',
    'file',
    'input_file',
    'input_file',
    'endpoint',
    'completion_window',
    'unknown_parameter',
    'batch',
    'batch',
    'url',
  ])
})

test('Anthropic: a batch ends, and has results only then', async () => {
  const script: StrictTurn[] = [{ text: 'ok' }, { fault: 'overloaded' }, { fault: 'expired' }]
  await using provider = await strictProvider({ script })
  const url = `${provider.anthropicURL}/v1/messages/batches`
  const requests = ['a', 'b', 'c'].map((custom_id) => ({ custom_id, params: message }))
  expect((await asked(url, { requests })).body).toMatchObject({
    id: 'msgbatch_1',
    processing_status: 'in_progress',
    request_counts: { processing: 3 },
    results_url: null,
  })
  expect((await asked(`${url}/msgbatch_1/results`)).status).toBe(404)
  await asked(`${url}/msgbatch_1`)
  expect((await asked(`${url}/msgbatch_1`)).body).toMatchObject({
    processing_status: 'ended',
    request_counts: { processing: 0, succeeded: 1, errored: 1, canceled: 0, expired: 1 },
    results_url: `${url}/msgbatch_1/results`,
  })
  const { body } = await asked(`${url}/msgbatch_1/results`)
  const types = String(body)
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each).result.type)
  expect(types).toEqual(['expired', 'errored', 'succeeded'])
  expect((await asked(`${url}/msgbatch_1/cancel`, {})).status).toBe(400)
  expect(rulesOf(provider)).toEqual(['results', 'cancel'])
})

test.each<[string, unknown]>([
  ['requests', []],
  ['requests', {}],
  ['custom_id', [{ custom_id: 'a b', params: message }]],
  ['duplicate_custom_id', [1, 2].map(() => ({ custom_id: 'a', params: message }))],
  ['params', [{ custom_id: 'a' }]],
  ['stream', [{ custom_id: 'a', params: { ...message, stream: true } }]],
  ['unknown_parameter', [{ custom_id: 'a', params: message, method: 'POST' }]],
])('Anthropic: refuses a batch by the rule %s', async (rule, requests) => {
  await using provider = await strictProvider({ script: () => ({ text: 'ok' }) })
  expect((await asked(`${provider.anthropicURL}/v1/messages/batches`, { requests })).status).toBe(400)
  expect(rulesOf(provider)).toEqual([rule])
})

test('what is for single calls is no turn of a batch, and a batch needs a turn for each request', async () => {
  await using provider = await strictProvider({ script: [{ fault: 'hang' }] })
  expect((await begun(provider, [line])).error.message).toMatch(/Nothing in a batch can be "hang"/)
  expect((await begun(provider, [line])).error.message).toMatch(/exhausted/)
  provider.script([{ fault: 'expired' }])
  const { body } = await asked(`${provider.url}/chat/completions`, chat)
  expect(body.error.message).toMatch(/Only what is in a batch can expire/)
})
