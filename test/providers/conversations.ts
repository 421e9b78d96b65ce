import type { LLMRequest } from '../../src/client/client.ts'
import { assistant, type Reasoning, system, toolMessage, user } from '../../src/messages.ts'

/** One conversation as an agent would send it. */
export interface SharedConversation {
  readonly name: string
  readonly request: LLMRequest
  /** It holds what not every provider takes: images, files. */
  readonly needs?: 'images' | 'files'
}

const weather = {
  name: 'weather',
  description: 'Weather now',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
}
const oslo = { id: 'call_oslo', toolName: 'weather', parameters: { city: 'Oslo' } }
const paris = { id: 'call_paris', toolName: 'weather', parameters: { city: 'Paris' } }
const foreign = {
  id: 'toolu_01:A/b+c=0123456789012345678901234567890123456789',
  toolName: 'weather',
  parameters: {},
}

/** What every client is asked to write down; `own` is reasoning that came from itself. */
export function sharedConversations(own: Reasoning): readonly SharedConversation[] {
  const other = {
    provider: 'elsewhere',
    model: 'thinker',
    text: 'Not for you.',
    opaque: [{ signature: 'theirs' }],
  }
  return [
    { name: 'a question', request: { messages: [user('Hello')] } },
    {
      name: 'a talk with instructions and settings',
      request: {
        system: 'Be brief.',
        messages: [user('Hello'), assistant('Hi.'), user('How are you?')],
        params: { temperature: 0.5, topP: 0.9, maxOutputTokens: 100, stop: ['END'], seed: 7 },
      },
    },
    {
      name: 'a tool',
      request: {
        messages: [user('Weather in Oslo?'), assistant('I look.', [oslo]), toolMessage(oslo, 'Sunny')],
        tools: [weather],
      },
    },
    {
      name: 'parallel tools, one of which failed',
      request: {
        messages: [
          user('Weather in Oslo and Paris?'),
          assistant('', [oslo, paris]),
          toolMessage(oslo, 'Sunny'),
          toolMessage(paris, 'There is no Paris.', false),
        ],
        tools: [weather],
        params: { parallelToolCalls: true },
      },
    },
    {
      name: 'a tool that has to be called',
      request: { messages: [user('Oslo?')], tools: [weather], toolChoice: { toolName: 'weather' } },
    },
    {
      name: 'a structured answer',
      request: {
        messages: [user('Answer as JSON.')],
        responseFormat: { type: 'json', name: 'answer', schema: weather.parameters },
      },
    },
    {
      name: 'images',
      needs: 'images',
      request: {
        messages: [
          user([
            { type: 'text', text: 'What is this?' },
            { type: 'image', url: 'https://example.test/a.png' },
            { type: 'image', data: 'iVBORw0KGgo=', mediaType: 'image/png' },
          ]),
        ],
      },
    },
    {
      name: 'a file',
      needs: 'files',
      request: {
        messages: [
          user([
            { type: 'text', text: 'What is this?' },
            { type: 'file', name: 'a.pdf', data: 'JVBERi0=', mediaType: 'application/pdf' },
          ]),
        ],
      },
    },
    {
      name: 'its own reasoning',
      request: {
        messages: [
          user('Weather in Oslo?'),
          { ...assistant('', [oslo]), reasoning: [own] },
          toolMessage(oslo, 'Sunny'),
        ],
        tools: [weather],
      },
    },
    {
      name: 'another provider, until now',
      request: {
        messages: [
          user('Weather?'),
          { ...assistant('I look.', [foreign]), reasoning: [other] },
          toolMessage(foreign, 'Sunny'),
          assistant('Sunny.'),
          system('Now another model answers.'),
          user('And tomorrow?'),
        ],
        tools: [weather],
      },
    },
    {
      name: 'letters of all kinds, and half of one',
      request: {
        system: 'Größe, 東京, 👩‍👩‍👧‍👦',
        messages: [
          user('שלום \u2028 \ud83d'),
          assistant('', [{ ...oslo, parameters: { city: '東京 \udc4b' } }]),
          toolMessage(oslo, '晴れ 🌤️'),
        ],
        tools: [weather],
      },
    },
    {
      name: 'empty texts',
      request: {
        system: '',
        messages: [
          user(''),
          assistant(''),
          user([{ type: 'text', text: '  ' }]),
          assistant(' ', [oslo]),
          toolMessage(oslo, ''),
          user('Well?'),
        ],
        tools: [weather],
      },
    },
  ]
}
