// A batch of 500 inputs that is stopped half-way and run again: what is done is not asked of the model a second time.
import assert from 'node:assert/strict'
import { Agent, MemoryStore, runBatch } from 'tercet'
import { fails, ScriptedClient } from 'tercet/testing'

const reviews = Array.from(
  { length: 500 },
  (_, number) => `Review ${number}: ${number % 3 === 0 ? 'bad' : 'good'}.`,
)
const store = new MemoryStore() // SqliteStore or PostgresStore, where it has to outlive the process

/** A model that has an opinion, and no money for one of the reviews. */
const classify = new ScriptedClient(({ messages }) => {
  const text = String(messages.at(-1)?.content)
  if (text.startsWith('Review 42:') && classify.calls < 200) return fails('quota')
  return text.includes('good') ? 'positive' : 'negative'
})
const agent = new Agent({ client: classify, instructions: 'Answer: positive or negative.', store })

// The first time it is stopped after 200 reviews.
const stop = new AbortController()
const progress: string[] = []
const first = await runBatch(agent, reviews, {
  batchId: 'reviews-2026-12',
  concurrency: 16,
  signal: stop.signal,
  onProgress: ({ ended, unanswered, total }) => {
    if (ended % 100 === 0) progress.push(`${ended} of ${total}, ${unanswered} without an answer`)
    if (ended === 200) stop.abort('enough for today')
  },
})
assert.deepEqual(progress.slice(0, 2), ['100 of 500, 1 without an answer', '200 of 500, 1 without an answer'])
const answered = first.filter(({ status }) => status === 'done').length
assert.equal(first[42]?.status, 'failed') // one of the results, and no end of the others
assert.equal(first[499]?.status, 'aborted')
assert.ok(answered >= 199 && answered < 500)

// The same again, by another process perhaps.
const callsBefore = classify.calls
const results = await runBatch(agent, reviews, { batchId: 'reviews-2026-12', concurrency: 16 })

assert.ok(results.every(({ status }) => status === 'done'))
assert.deepEqual(
  results.slice(41, 44).map(({ answer }) => answer),
  ['positive', 'negative', 'positive'],
)
assert.equal(classify.calls - callsBefore, 500 - answered)
