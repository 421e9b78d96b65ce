import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { LLMRequest, ModelParams } from '../../src/client/client.ts'
import { isTercetError } from '../../src/errors.ts'
import type { JsonObject } from '../../src/json.ts'
import { assistant, system, toolMessage, user } from '../../src/messages.ts'
import { factsOf, unknownServer } from '../../src/providers/anthropic-messages/models.ts'
import {
  type ApiVersion,
  type MessagesTarget,
  wireRequest as messagesRequest,
} from '../../src/providers/anthropic-messages/request.ts'
import { wireRequest as chatRequest } from '../../src/providers/chat-completions/request.ts'
import { compatibleQuirks, openAIQuirks, type Quirks } from '../../src/providers/quirks.ts'
import { groqDialect } from '../../src/testing/groq-dialect.ts'
import { openRouterDialect } from '../../src/testing/openrouter-dialect.ts'
import { validateAnthropic } from '../../src/testing/strict-anthropic.ts'
import type { Check } from '../../src/testing/strict-contract.ts'
import { validateOpenAI } from '../../src/testing/strict-openai.ts'
import { trials, uphold } from './support/law.ts'
import { scenario } from './support/scenario.ts'
import { play } from './support/stage.ts'
import { anyText } from './support/turns.ts'

/** One who is written to, and what they say of it. */
interface Recipient {
  readonly name: string
  readonly write: (request: LLMRequest, stream: boolean) => JsonObject
  readonly validate: (body: unknown) => Check
}

/** All of them anew: each keeps what it wrote before. */
const recipients = (): readonly Recipient[] => [
  chat('OpenAI', openAIQuirks, validateOpenAI),
  chat('Groq', { ...openAIQuirks, files: false }, (body) => groqDialect.validate(body, {}, {})),
  chat('OpenRouter', { ...compatibleQuirks, usageCost: true, reasoningReplay: 'reasoning_details' }, (body) =>
    openRouterDialect.validate(body, {}, {}),
  ),
  chat(
    'a server with ids of nine characters',
    { ...openAIQuirks, maxToolCallIdLength: 9, exactToolCallIds: true },
    validateOpenAI,
  ),
  messages('Anthropic', '2026-10-21', { quirks: factsOf('claude-opus-4-8'), cacheTtl: '5m' }),
  messages('Anthropic, its older API', '2023-06-01', { quirks: factsOf('claude-sonnet-4'), cacheTtl: '1h' }),
  messages('a server like Anthropic', '2023-06-01', { quirks: unknownServer, structuredOutput: false }),
]

/** What every provider has a setting for, or leaves out. */
const params: fc.Arbitrary<ModelParams> = fc.record(
  {
    reasoningEffort: fc.constantFrom('low', 'medium', 'high'),
    parallelToolCalls: fc.boolean(),
    maxOutputTokens: fc.constantFrom(1, 1_500, 20_000),
    stop: fc.constantFrom([], ['END'], ['END', '##']),
    seed: fc.nat(),
  },
  { requiredKeys: [] },
)

it('law 1: each request of each run is one that every provider takes', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(scenario, params, fc.boolean(), async (planned, asked, stream) => {
      const { requests } = await play(planned)
      const everyone = recipients()
      uphold(
        ...requests.flatMap(({ request }) => {
          const whole = { ...request, params: { ...request.params, ...asked } }
          return everyone.map((recipient) => faultOf(recipient, whole, stream))
        }),
      )
    }),
    trials(),
  )
})

it('law 1: whatever reasoning a model is given back, its provider takes it', () => {
  const texts = fc.array(anyText, { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(texts, texts, (thoughts, signatures) => {
      const opaque = thoughts.map((text, index) => ({
        type: 'reasoning.text',
        text,
        signature: signatures[index] ?? null,
      }))
      const reasoning = [{ provider: 'scripted', model: 'gpt-5', text: thoughts.join(''), opaque }]
      const messages = [user('Go.'), { ...assistant('Gone.'), reasoning }, user('And on.')]
      uphold(...recipients().map((recipient) => faultOf(recipient, { messages }, false)))
    }),
    trials(300),
  )
})

it('would notice: a result without its call is refused by everyone', () => {
  const request = {
    messages: [user('Go.'), toolMessage({ id: 'lost', toolName: 'add' }, 'done'), system('!')],
  }
  const silent = recipients().filter((recipient) => faultOf(recipient, request, false) === undefined)
  expect(silent.map(({ name }) => name)).toEqual([])
})

function faultOf({ name, write, validate }: Recipient, request: LLMRequest, stream: boolean) {
  try {
    // As it arrives there.
    const refusal = validate(JSON.parse(JSON.stringify(write(request, stream))))
    return refusal && `${name} refuses a request by its rule ${refusal.rule}: ${JSON.stringify(refusal.body)}`
  } catch (error) {
    return `${name} cannot be written to: ${isTercetError(error) ? error.message : String(error)}`
  }
}

function chat(name: string, quirks: Quirks, validate: (body: unknown) => Check): Recipient {
  const target = { provider: 'scripted', model: 'gpt-5', quirks, written: new WeakMap() }
  return { name, validate, write: (request, stream) => chatRequest(request, target, stream) }
}

function messages(name: string, apiVersion: ApiVersion, rest: Partial<MessagesTarget>): Recipient {
  const target: MessagesTarget = {
    provider: 'scripted',
    model: 'claude',
    apiVersion,
    quirks: unknownServer,
    structuredOutput: true,
    maxOutputTokens: 4096,
    written: new WeakMap(),
    ...rest,
  }
  return {
    name,
    validate: (body) => validateAnthropic(body, {}, { 'anthropic-version': apiVersion }),
    write: (request, stream) => messagesRequest(request, target, stream, () => {}),
  }
}
