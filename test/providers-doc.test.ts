import { expect, test } from 'vitest'
import type { LLMClient } from '../src/client/client.ts'
import { AnthropicClient } from '../src/providers/anthropic.ts'
import { GroqClient } from '../src/providers/groq.ts'
import { OpenAIClient } from '../src/providers/openai.ts'
import { OpenRouterClient } from '../src/providers/openrouter.ts'
import { packageJson, read } from './support/repository.ts'

const apiKey = 'test-key'
// At the providers' own addresses, whatever the environment says.
const clients: readonly LLMClient[] = [
  new OpenAIClient({ apiKey, model: 'gpt-4o', baseURL: 'https://api.openai.com/v1' }),
  new AnthropicClient({ apiKey, model: 'claude-sonnet-4-5', baseURL: 'https://api.anthropic.com' }),
  new GroqClient({ apiKey, model: 'openai/gpt-oss-120b', baseURL: 'https://api.groq.com' }),
  new OpenRouterClient({ apiKey, model: 'openai/gpt-4o' }),
]

const rows = new Map(
  read('docs/providers.md')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
    .map(([name = '', ...cells]) => [name, cells]),
)

test('the matrix of docs/providers.md has every client', () => {
  expect(rows.get('')).toEqual(clients.map((client) => client.constructor.name))
})

test.each(['tools', 'streaming', 'structuredOutput', 'images'] as const)(
  'the matrix says of %s what the clients say',
  (capability) => {
    expect(rows.get(capability)).toEqual(
      clients.map(({ capabilities }) => (capabilities[capability] ? 'yes' : 'no')),
    )
  },
)

test('the matrix names entries and optional packages that there are', () => {
  const { name, exports, peerDependencies } = packageJson()
  for (const entry of rows.get('entry') ?? [])
    expect(Object.keys(exports)).toContain(entry.replace(name, '.'))
  for (const peer of rows.get('package') ?? []) expect(Object.keys(peerDependencies ?? {})).toContain(peer)
})
