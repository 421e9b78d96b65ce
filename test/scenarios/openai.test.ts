import { describe, expect, test } from 'vitest'
import { Agent, tool } from '../../src/index.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import type { StrictError } from '../../src/testing/index.ts'
import { delta, rawServer, sendEvents, startEvents } from '../support/raw-server.ts'
import { answers } from './answers.ts'
import { endings } from './endings.ts'
import { apiKey, playScenario, type Scenario, type Variant } from './support.ts'
import { toolCalls } from './tool-calls.ts'

// A JSON body is one event.
const variants: readonly Variant[] = [
  ...(['event', 'whole', 'bytes', 'utf8'] as const).map((chunking) => ({
    chunking,
    text: 'streamed' as const,
  })),
  ...(['whole', 'bytes', 'utf8'] as const).map((chunking) => ({ chunking, text: 'untold' as const })),
  { chunking: 'whole', text: 'whole' },
]

/** A stream with these events and nothing more, whatever was asked for. */
const events = (...data: readonly object[]): StrictError => ({
  status: 200,
  headers: { 'content-type': 'text/event-stream' },
  body: data.map((item) => `data: ${JSON.stringify(item)}\n\n`).join(''),
})
const said = (content: string) => delta({ content })
const asked = (parameters: string) =>
  delta({ tool_calls: [{ index: 0, id: 'a', function: { name: 'look', arguments: parameters } }] })
const serverError = { error: { message: 'The server had an error.', type: 'server_error', code: null } }

const done = (answer: unknown) => ({ status: 'done', answer }) as const

/** What only this wire can say. */
const wire: readonly Scenario[] = [
  {
    name: 'a key that is not accepted, and is shown by the provider',
    script: [
      {
        status: 401,
        body: {
          error: {
            message: `Incorrect API key provided: ${apiKey}.`,
            type: 'invalid_request_error',
            param: null,
            code: 'invalid_api_key',
          },
        },
      },
      { text: 'Here.' },
    ],
    inputs: ['Go.', 'Again.'],
    outcomes: [{ status: 'failed', error: 'llm auth' }, done('Here.')],
  },
  {
    name: 'a request that is too long for the model',
    script: [
      {
        status: 400,
        body: {
          error: {
            message: "This model's maximum context length is 10 tokens.",
            type: 'invalid_request_error',
            param: 'messages',
            code: 'context_length_exceeded',
          },
        },
      },
      { text: 'Here.' },
    ],
    inputs: ['Go.', 'Again.'],
    outcomes: [{ status: 'failed', error: 'llm context_length' }, done('Here.')],
  },
  {
    name: 'an error in a stream that began well, before anything was said',
    script: [events(said(''), serverError), { text: 'Here.' }],
    outcomes: [{ ...done('Here.'), waits: [1_000] }],
  },
  {
    name: 'an error in a stream, after something was said',
    streamOnly: true,
    script: [events(said('Here '), serverError), { text: 'Again.' }],
    outcomes: [{ ...done('Again.'), waits: [1_000] }],
  },
  {
    name: 'a stream that ends early, before anything was said',
    script: [events(said('')), events(), { text: 'Here.' }],
    outcomes: [{ ...done('Here.'), waits: [1_000, 2_000] }],
  },
  {
    name: 'a stream that ends early, after something was said',
    streamOnly: true,
    script: [events(said('Here ')), { text: 'Again.' }],
    outcomes: [{ ...done('Again.'), waits: [1_000] }],
  },
]

describe('a connection that breaks', () => {
  const look = (ran: string[]) =>
    tool({
      name: 'look',
      description: 'Looks',
      parameters: { type: 'object', properties: {} },
      execute: (_, { callId }) => ran.push(callId),
    })

  /** The first request ends with its connection after these events; all others are answered. */
  async function playBroken(...first: readonly object[]) {
    await using server = await rawServer((response, _, number) => {
      if (number > 1) return sendEvents(response, said('Here.'), delta({}, 'stop'), '[DONE]')
      startEvents(response, ...first)
      setImmediate(() => response.destroy())
    })
    const ran: string[] = []
    await using agent = new Agent({
      client: new OpenAIClient({ apiKey, baseURL: server.url }),
      tools: [look(ran)],
      retry: { minDelayMs: 0 },
    })
    const { status, answer } = await agent.runStream('Go.').result
    return { status, answer, again: await agent.run('Again.'), ran }
  }

  test.each([
    ['before anything was said', [said('')]],
    ['in an answer', [said('On'), said('ce')]],
    ['in a tool call', [asked('{'), asked('}')]],
  ])('%s runs no tool, and the reply begins anew', async (_, first) => {
    expect(await playBroken(...first)).toEqual({ status: 'done', answer: 'Here.', again: 'Here.', ran: [] })
  })
})

describe.each([
  ['answers', answers],
  ['tool calls', toolCalls],
  ['endings', endings],
  ['the wire', wire],
] as const)('through the OpenAI SDK: %s', (_, scenarios) => {
  test.each(scenarios)('$name', async (scenario) => {
    let told: unknown
    for (const variant of variants.filter(({ text }) => text === 'streamed' || !scenario.streamOnly)) {
      const { story, ...play } = await playScenario(
        scenario,
        variant,
        ({ url }, capabilities) => new OpenAIClient({ apiKey, baseURL: url, capabilities }),
      )
      const where = JSON.stringify(variant)
      expect(play, where).toEqual({ outcomes: scenario.outcomes, faults: [] })
      told ??= story
      expect(story, where).toEqual(told)
    }
  })
})
