// A run on a terminal: what the model says as it says it, and what the tools do.
import assert from 'node:assert/strict'
import { Agent, tool } from 'tercet'
import { calls, plans, ScriptedClient } from 'tercet/testing'
import { z } from 'zod'

const add = tool({
  name: 'add',
  description: 'Adds two numbers',
  parameters: z.object({ a: z.number(), b: z.number() }),
  effect: 'read',
  execute: ({ a, b }) => a + b,
})

// `chunkSize` makes the replies arrive in pieces, as those of a real model do.
const client = new ScriptedClient(
  [plans('1. add\n2. answer'), calls('Adding.', ['add', { a: 20, b: 22 }]), 'It is 42.'],
  { chunkSize: 4 },
)
const agent = new Agent({ client, tools: [add] })

let screen = ''
const write = (text: string) => {
  screen += text
  process.stdout.write(text)
}

for await (const event of agent.runStream('What is 20 + 22?')) {
  if (event.type === 'plan') write(`Plan:\n${event.plan}\n`)
  if (event.type === 'token' && event.channel === 'answer') write(event.text)
  // What streamed as the answer was the thought beside a tool call. A terminal cannot take it back, but say so.
  if (event.type === 'retracted' && event.channel === 'answer') write(' (a thought)\n')
  if (event.type === 'tool_execution' && event.status === 'completed') {
    write(`→ ${event.toolName} = ${event.result.output}\n`)
  }
  if (event.type === 'run_end') write(`\n${event.usage.inputTokens + event.usage.outputTokens} tokens\n`)
}

assert.equal(screen, 'Plan:\n1. add\n2. answer\nAdding. (a thought)\n→ add = 42\nIt is 42.\n45 tokens\n')
