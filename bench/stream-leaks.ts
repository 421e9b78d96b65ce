/**
 * 100,000 streamed calls on one caller signal, every twentieth of them left in the middle: what stays behind. With
 * `--check` it fails if anything does. Run it with `--expose-gc`.
 */
import { getEventListeners } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { user } from 'tercet'
import { OpenAIClient } from 'tercet/openai'

const calls = 100_000
const samples = 20
/** Bytes of heap that a call may leave behind at most; what the garbage collector does by itself is a few of them. */
const budget = 50

const chunk = (delta: object, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`
const text = `${[...'Hello'].map((content) => chunk({ content })).join('')}${chunk({}, 'stop')}data: [DONE]\n\n`
const fetch = async () => new Response(text, { headers: { 'content-type': 'text/event-stream' } })

const client = new OpenAIClient({ apiKey: 'sk-bench', fetch })
const { signal } = new AbortController()
const heap: number[] = []
for (let call = 1; call <= calls; call++) {
  for await (const _ of client.stream({ messages: [user('Hello')] }, { signal })) if (call % 20 === 0) break
  if (call % (calls / samples) !== 0) continue
  globalThis.gc?.()
  await wait(5)
  globalThis.gc?.()
  heap.push(process.memoryUsage().heapUsed)
}

// The first samples are of a program that still warms up.
const settled = heap.slice(samples / 2)
const perCall = ((settled.at(-1) ?? 0) - (settled[0] ?? 0)) / (calls / 2)
const listeners = getEventListeners(signal, 'abort').length
console.log(`${calls} calls: ${perCall.toFixed(1)} bytes each, ${listeners} listeners`)
if (process.argv.includes('--check') && (listeners > 0 || perCall > budget)) {
  console.error('Calls leave something behind.')
  process.exitCode = 1
}
