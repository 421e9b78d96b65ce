import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  buildMessages,
  buildSystemPrompt,
  MemoryBlocks,
  memoryTools,
  tool,
  user,
} from '../../src/index.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'

const working = '[Working Memory Context]\n## task\nBook a table for two.'

async function someBlocks(): Promise<MemoryBlocks> {
  const blocks = new MemoryBlocks()
  await blocks.set('persona', 'I am Tess, who books tables.', { tier: 'core', permission: 'readonly' })
  await blocks.set('task', 'Book a table for two.', { tier: 'working' })
  return blocks
}

describe('seed 003, memory blocks', () => {
  // Without `toolsets`, `now` and `contextProviders`: tool sets are described by the protocol, which knows whether they
  // need to be; a clock in the prompt would cost the provider's cache with every request, and belongs into a tool or into
  // `instructions`, which can be a function.
  it('003-5 builds the system prompt of instructions and core blocks', async () => {
    const { core } = await someBlocks()
    const human = { ...core[0], label: 'human', content: '' } as (typeof core)[0]
    expect(buildSystemPrompt({ instructions: 'Be brief.', blocks: [...core, human] })).toBe(
      'Be brief.\n\n[Core Memory]\n## persona\nI am Tess, who books tables.\n\n## human\n(empty)',
    )
    expect(buildSystemPrompt({ instructions: 'Be brief.', blocks: [] })).toBe('Be brief.')
    expect(buildSystemPrompt({ instructions: '', blocks: core })).toBe(
      '[Core Memory]\n## persona\nI am Tess, who books tables.',
    )
  })

  // The history is made of messages already, calls and results in pairs: nothing has to be put together from rows.
  it('003-6 builds messages of history and working blocks, calls with their results', async () => {
    const blocks = await someBlocks()
    const ping = tool({ name: 'ping', description: 'Pings', parameters: z.object({}), execute: () => 'pong' })
    const client = new ScriptedClient([calls('Let me see.', ['ping', {}, 'a']), 'It is there.'])
    const agent = new Agent({ client, tools: [ping] })
    await agent.run('Is it there?')

    expect(buildMessages(agent.history, { workingBlocks: blocks.working })).toEqual([
      { role: 'user', content: working },
      { role: 'user', content: 'Is it there?' },
      {
        role: 'assistant',
        content: 'Let me see.',
        toolCalls: [{ id: 'a', toolName: 'ping', parameters: {} }],
      },
      { role: 'tool', callId: 'a', toolName: 'ping', content: 'pong', ok: true },
      { role: 'assistant', content: 'It is there.' },
    ])
  })

  it('003-22 has the core blocks in every request, also when next to nothing else fits', async () => {
    const blocks = await someBlocks()
    const client = new ScriptedClient(() => 'Noted.')
    const agent = new Agent({
      client,
      blocks,
      instructions: 'Be brief.',
      contextWindow: 100,
      maxOutputTokens: 20,
    })
    for (let day = 1; day <= 12; day++) await agent.run(`Day ${day}: ${'nothing happened. '.repeat(8)}`)

    expect(client.requests.at(-1)?.messages).toEqual([user(working), agent.history.at(-2)])
    expect(new Set(client.requests.map(({ system }) => system))).toEqual(
      new Set(['Be brief.\n\n[Core Memory]\n## persona\nI am Tess, who books tables.']),
    )
  })

  it('003-23 has the working blocks before the messages, and in no history', async () => {
    const blocks = await someBlocks()
    const client = new ScriptedClient(['Hello.', 'Bye.'])
    const agent = new Agent({ client, blocks })
    await agent.run('Hi')
    expect(client.requests[0]?.messages).toEqual([user(working), user('Hi')])
    expect(agent.history.map(({ content }) => content)).toEqual(['Hi', 'Hello.'])

    await blocks.delete('task')
    await agent.run('Bye')
    expect(client.requests[1]?.messages.map(({ content }) => content)).toEqual(['Hi', 'Hello.', 'Bye'])
  })

  // `blocks.search`, not `blocks.archival.search`: the tiers are plain lists, and only one of them is searched.
  it('003-24 finds what is archived by its words, or by meaning', async () => {
    const blocks = new MemoryBlocks()
    await blocks.set('2026-11', 'We spoke about invoices and a refund.', { tier: 'archival' })
    await blocks.set('2026-12', 'We planned a journey to Lima.', { tier: 'archival' })
    await blocks.set('now', 'A refund is due.', { tier: 'working' })
    const labels = async (...search: Parameters<MemoryBlocks['search']>) =>
      (await blocks.search(...search)).map(({ block }) => block.label)

    expect(await labels('that invoice')).toEqual(['2026-11'])
    expect(await labels('Where is LIMA?')).toEqual(['2026-12'])
    expect(await labels('weather')).toEqual([])
    const embed = (texts: readonly string[]) => texts.map((text) => [/trip|journey/.test(text) ? 1 : 0, 1])
    expect(await labels('a trip', { embed, limit: 1 })).toEqual(['2026-12'])
  })

  // The original's "familiar" is called `approval`: it says what it does.
  it('003-25 lets the model write by the permission of each block', async () => {
    const blocks = new MemoryBlocks()
    await blocks.set('persona', 'Tess', { permission: 'readonly' })
    await blocks.set('log', 'one', { permission: 'append' })
    await blocks.set('notes', 'old', { permission: 'readwrite' })
    await blocks.set('human', 'Ada', { permission: 'approval' })
    const client = new ScriptedClient([
      calls(
        ['memory_write', { label: 'persona', content: 'Max' }],
        ['memory_write', { label: 'log', content: 'two' }],
        ['memory_write', { label: 'notes', content: 'new' }],
        ['memory_write', { label: 'human', content: 'Bob' }],
      ),
      'Done.',
    ])
    const { steps } = await new Agent({ client, tools: [memoryTools(blocks)] }).runStream('Go').result
    expect(steps[0]?.results.map(({ ok, output }) => [ok, output])).toEqual([
      [false, 'Error: "persona" is read-only: you cannot change it. Write to another block.'],
      [true, 'Added to "log".'],
      [true, 'Wrote "notes".'],
      [true, 'Proposed, not written: somebody has to approve it first. Until then "human" stays as it is.'],
    ])
    const contents = () => blocks.working.map(({ content }) => content)
    expect(contents()).toEqual(['Tess', 'one\ntwo', 'new', 'Ada'])

    const [proposal] = blocks.pending
    expect(proposal).toMatchObject({ label: 'human', content: 'Bob' })
    await blocks.approve(proposal?.proposalId ?? '')
    expect(contents()).toEqual(['Tess', 'one\ntwo', 'new', 'Bob'])
    expect(blocks.pending).toEqual([])
  })

  it('003-26 lets the model write a block, read it again and list it', async () => {
    const blocks = new MemoryBlocks()
    const client = new ScriptedClient([
      calls(['memory_write', { label: 'human', content: 'Ada, from Oslo' }]),
      calls(['memory_read', { label: 'human' }], ['memory_list']),
      'You are Ada.',
    ])
    const { steps } = await new Agent({ client, tools: [memoryTools(blocks)] }).runStream('I am Ada').result
    expect(steps.map(({ results }) => results.map(({ output }) => output))).toEqual([
      ['Wrote "human".'],
      ['Ada, from Oslo', '- human (working, readwrite)'],
    ])
  })
})
