import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Agent } from '../../src/agent/agent.ts'
import { compactor } from '../../src/memory/compaction.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { textOf } from '../../src/messages.ts'
import { checkEvents } from '../../src/testing/event-grammar.ts'
import { calls, fails, type Script } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { tool } from '../../src/tools/define.ts'
import { trials, uphold } from './support/law.ts'
import { requestFault } from './support/request-faults.ts'

/** Where a piece of the conversation was, by its name. */
const named = (name: string, length: number) => `<${name}> ${'👍word '.repeat(length)}`
const namesIn = (text: string) => [...text.matchAll(/<([a-z]\d+)>/g)].map(([, name = '']) => name)

const step = fc.record({
  results: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 3 }),
})
const turn = fc.record({ said: fc.integer({ min: 1, max: 60 }), steps: fc.array(step, { maxLength: 4 }) })

const summary = fc.constantFrom('fine', 'fine', 'fine', 'empty', 'long', 'cut', 'failed', 'refused')

const conversation = fc.record({
  turns: fc.array(turn, { minLength: 1, maxLength: 12 }),
  summaries: fc.array(summary, { minLength: 1, maxLength: 6 }),
  contextWindow: fc.integer({ min: 1_000, max: 4_000 }),
  chunkTokens: fc.integer({ min: 100, max: 2_000 }),
  keepFirst: fc.integer({ min: 0, max: 3 }),
  keepLast: fc.integer({ min: 1, max: 6 }),
})

test('a compacted conversation is valid, within its window, and knows of all that was said', async () => {
  const counts = new TokenCounts()
  await fc.assert(
    fc.asyncProperty(
      conversation,
      async ({ turns, summaries, contextWindow, chunkTokens, keepFirst, keepLast }) => {
        let made = 0
        const told: string[] = []
        const summarize: Script = ({ messages }) => {
          const [earlier = '', news = ''] = textOf(messages[0]?.content ?? '').split('<conversation>')
          switch (summaries[made++ % summaries.length]) {
            case 'fine': {
              told.push(...namesIn(news))
              // Only names: it is always shorter than what it stands for.
              return [...namesIn(earlier), ...namesIn(news)].map((name) => `<${name}>`).join('')
            }
            case 'empty':
              return ' '
            case 'long':
              return 'x'.repeat(40_000)
            case 'cut':
              return { text: 'Half', stopReason: 'length' }
            case 'refused':
              return { text: 'No.', stopReason: 'refusal' }
            default:
              return fails('overloaded')
          }
        }
        let pieces = 0
        const script = turns.flatMap(({ steps }) => [
          ...steps.map(({ results }) => calls(...results.map((length) => ['read', { length }] as const))),
          'Done.',
        ])
        const client = new ScriptedClient(script)
        const read = tool({
          name: 'read',
          description: 'Reads',
          parameters: { type: 'object', properties: { length: { type: 'number' } } },
          effect: 'read',
          execute: ({ length }) => named(`r${pieces++}`, Number(length)),
        })
        const agent = new Agent({
          client,
          tools: [read],
          planning: 'off',
          contextWindow,
          maxOutputTokens: 100,
          toolConcurrency: 1,
          compactor: compactor({
            client: new ScriptedClient(summarize),
            chunkTokens,
            keepFirst,
            keepLast,
            maxSummaryTokens: 100,
            maxFailures: 1_000,
          }),
        })
        const left: string[] = []
        agent.on('diagnostic', ({ code }) => left.push(code))
        const faults: (string | undefined)[] = []
        for (const [at, { said }] of turns.entries()) {
          const stream = agent.runStream(named(`u${at}`, said))
          const events = []
          for await (const event of stream) events.push(event)
          const { status, error } = await stream.result
          faults.push(checkEvents(events), status === 'done' ? undefined : `${status}: ${error?.message}`)
        }
        for (const request of client.requests) {
          faults.push(requestFault(request))
          const tokens = counts.request(request)
          if (tokens > contextWindow * 0.9 - 100) faults.push(`a request of ${tokens} tokens`)
        }
        // Each piece is summarised once by a summary that was used, unless one in between was not.
        const entries = await agent.conversation(agent.conversationId).entries()
        const used = entries.flatMap((entry) => (entry.type === 'compaction' ? [entry] : []))
        for (const { tokensBefore, tokensAfter } of used) {
          if (tokensAfter >= tokensBefore) faults.push(`from ${tokensBefore} to ${tokensAfter} tokens`)
        }
        const names = namesIn(used.at(-1)?.summary ?? '')
        if (new Set(names).size < names.length) faults.push(`summarised twice: ${names}`)
        const all = namesIn(agent.history.map(({ content }) => textOf(content)).join())
        if (all.length !== turns.length + pieces) faults.push('the archive is not whole')
        // Where every summary is fine and there is room for what has to stay, requests know of everything.
        const shown = new Set(
          namesIn(
            client.requests
              .at(-1)
              ?.messages.map(({ content }) => textOf(content))
              .join() ?? '',
          ),
        )
        const forgotten = left.length > 0 ? [] : all.filter((name) => !shown.has(name))
        if (forgotten.length > 0) faults.push(`forgotten: ${forgotten}`)
        uphold(...faults)
      },
    ),
    trials(200),
  )
  expect.assertions(0)
})
