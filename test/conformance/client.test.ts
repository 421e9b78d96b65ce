import { describe, expect, test } from 'vitest'
import { ConfigurationError } from '../../src/index.ts'
import { AnthropicClient } from '../../src/providers/anthropic.ts'
import { GroqClient } from '../../src/providers/groq.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { OpenRouterClient } from '../../src/providers/openrouter.ts'
import { type ClientCaseName, clientConformance, type MakeClient } from '../../src/testing/index.ts'
import { apiKey, asking, scripted, texting } from './subjects.ts'

type Exceptions = Partial<Record<ClientCaseName, string>>

const noWire: Exceptions = {
  'reads the same however the bytes are cut': 'there are no bytes',
  'says how long the provider asks to wait': 'there are no headers',
  'takes no answer that ended early for a whole one': 'there is no connection',
  'takes nothing else for an answer': 'there is no wire',
  'tells of an error in the middle of a stream, and of a connection that breaks': 'there is no connection',
  'reads an answer that comes byte by byte, or late': 'there are no bytes',
  'gives up an answer that stalls, and its request': 'the agent limits the time of a run',
}

const moreThanText: readonly ClientCaseName[] = [
  'reads a tool call',
  'reads a thought beside a tool call',
  'reads parallel tool calls in their order',
  'reads a tool call without parameters',
  'marks parameters that cannot be read, and keeps the call',
  'reads reasoning apart from the text',
  'reads a refusal as one',
  'reads a text that was cut as one',
  'reads a reply whose calls were cut as cut',
  'reads usage',
  'reads what was cached and what was reasoned of the usage',
]

const subjects: readonly (readonly [string, MakeClient, Exceptions])[] = [
  [
    'OpenAIClient',
    asking(
      ({ url }, { chunking: _, ...patience }) => new OpenAIClient({ apiKey, baseURL: url, ...patience }),
    ),
    {},
  ],
  [
    'GroqClient',
    asking(
      ({ groqURL }, { chunking: _, ...patience }) =>
        new GroqClient({ model: 'llama-3.3-70b-versatile', apiKey, baseURL: groqURL, ...patience }),
    ),
    {},
  ],
  [
    'OpenRouterClient',
    asking(
      ({ openRouterURL }, { chunking: _, ...patience }) =>
        new OpenRouterClient({ model: 'openai/gpt-5', apiKey, baseURL: openRouterURL, ...patience }),
    ),
    {},
  ],
  [
    'AnthropicClient',
    asking(
      ({ anthropicURL }, { chunking: _, ...patience }) =>
        new AnthropicClient({ model: 'claude-sonnet-5-5', apiKey, baseURL: anthropicURL, ...patience }),
    ),
    {},
  ],
  [
    'ScriptedClient',
    scripted,
    {
      ...noWire,
      'marks parameters that cannot be read, and keeps the call': 'it is given parameters that were read',
    },
  ],
  [
    'textClient',
    texting,
    {
      ...noWire,
      ...Object.fromEntries(moreThanText.map((name) => [name, 'it gives text and nothing else'])),
      'tells failures by their kind, and whether to try again': 'what a function throws has a status at most',
    },
  ],
]

describe.each(subjects)('%s', (_, make, exceptions) => {
  const cases = clientConformance(make, { exceptions })

  test.each(cases.filter(({ exception }) => exception === undefined))('$name', ({ run }) => run())
})

describe('the suite', () => {
  test('refuses an exception from a case that does not exist, and one without a reason', () => {
    const exceptions = { flies: 'it is a bird' } as Exceptions
    expect(() => clientConformance(scripted, { exceptions })).toThrow(ConfigurationError)
    expect(() => clientConformance(scripted, { exceptions: { 'reads text': ' ' } })).toThrow(
      ConfigurationError,
    )
  })
})
