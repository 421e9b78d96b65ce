import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, type AgentEvent, ToolRegistry, tool } from 'tercet'
import { checkEvents, strictProvider } from 'tercet/testing'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { corpusTools } from '../examples/ask/corpus.ts'
import { offlineClient } from '../examples/ask/offline-client.ts'
import { Terminal } from '../examples/ask/terminal.ts'
import { type Ended, runNode } from './support/child.ts'
import { distProblem } from './support/dist.ts'
import { read, root } from './support/repository.ts'

const question = 'How do I keep an API key hidden from the model?'
const askWith = (env: Record<string, string>, ...args: readonly string[]): Promise<Ended> =>
  runNode(['examples/ask/main.ts', ...args], { cwd: root, env })

const ask = (...args: readonly string[]): Promise<Ended> => askWith({}, ...args)

describe('npm start', { timeout: 60_000 }, () => {
  test('runs on a build of the source as it stands', () => {
    expect(distProblem()).toBeUndefined()
  })

  test('shows how to use it, and fails, when nothing is asked', async () => {
    for (const args of [[], ['  '], ['--json']]) {
      const { code, stdout, stderr } = await ask(...args)
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      expect(stderr).toContain('npm start -- "')
    }
  })

  test('explains itself', async () => {
    const { code, stdout, stderr } = await ask('--help')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const flag of ['--model', '--base-url', '--protocol', '--json', '--help'])
      expect(stdout).toContain(flag)
  })

  test.for<[string[], string]>([
    [['--modle', 'x', 'Why?'], "Unknown option '--modle'"],
    [['--protocol', 'xml', 'Why?'], '--protocol is "xml"; it must be native or json.'],
    [['--base-url', 'http://localhost:1/v1', 'Why?'], '--base-url needs --model'],
    [
      ['--provider', 'acme', 'Why?'],
      '--provider is "acme"; it must be one of openai, anthropic, groq, openrouter.',
    ],
  ])('refuses %j', async ([args, problem]) => {
    const { code, stdout, stderr } = await ask(...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(problem)
  })

  test.for(['native', 'json'])(
    'answers offline, its steps in order, in the %s protocol',
    async (protocol) => {
      const { code, stdout, stderr } = await ask(question, '--protocol', protocol)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      const marks = [
        'No API key and no --base-url: answering offline',
        'Plan\n  1. Search',
        '→ search query: "keep api key hidden model"\n← search: ',
        '→ read_file path: "',
        '← read_file: ',
        '\n\n[',
        '\n3 model calls · ',
      ]
      const places = marks.map((mark) => stdout.indexOf(mark))
      expect(places).toEqual(places.filter((place) => place >= 0).sort((a, b) => a - b))
      expect(stdout).toMatch(
        /\n\n3 model calls · [23] tools · [\d,]+ in \/ [\d,]+ out tokens \(estimated\) · \d+\.\d s\n$/,
      )
    },
  )

  test('quotes what stands where it says', async () => {
    const { stdout } = await ask(question)
    const [, path = '', from, text = ''] = /\n\[([\w./-]+):(\d+)-\d+\]\n\n(.+)\n/.exec(stdout) ?? []
    expect(read(path).split('\n')[Number(from) - 1]).toBe(text)
    expect(stdout).toContain('secret(')
  })

  test.for(['What is the capital of France?', 'asdf qwer'])(
    'says that it found nothing about: %s',
    async (nonsense) => {
      const { code, stdout, stderr } = await ask(nonsense)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('\nNot found in the docs: ')
      expect(stdout).not.toContain('read_file')
    },
  )

  test('prints events for programs that are the events of one whole run', async () => {
    const { code, stdout } = await ask('--json', question)
    const events: AgentEvent[] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect({ code, violation: checkEvents(events) }).toEqual({ code: 0, violation: undefined })
    const texts = events.map((event) =>
      event.type === 'token' && event.channel === 'answer' ? event.text : '',
    )
    const answers = events.filter(({ type }) => type === 'final_response')
    expect(answers).toEqual([
      expect.objectContaining({ answer: expect.stringContaining(texts.join('').slice(-80)) }),
    ])
    expect(texts.filter((text) => text !== '').length).toBeGreaterThan(50)
  })

  test('asks a server that speaks like OpenAI, without a fault', async () => {
    await using provider = await strictProvider({
      script: [
        { text: 'Let me look.', toolCalls: [{ toolName: 'search', parameters: { query: 'hidden config' } }] },
        { text: 'By secret(), see docs/hidden-config.md:1.' },
      ],
    })
    const { code, stdout, stderr } = await ask(question, '--base-url', provider.url, '--model', 'local')
    expect({ code, stderr, refusals: provider.refusals }).toEqual({ code: 0, stderr: '', refusals: [] })
    expect(stdout).toMatch(
      /^\nLet me look\.\n→ search query: "hidden config"\n← search: .*\n\nBy secret\(\), see .*\n\n2 model/,
    )
    expect(provider.requests[1]?.body['messages']).toHaveLength(4)
  })

  test.for<[string, string, 'anthropicURL' | 'groqURL', string]>([
    ['anthropic', 'ANTHROPIC', 'anthropicURL', 'claude-sonnet-4-5'],
    ['groq', 'GROQ', 'groqURL', 'openai/gpt-oss-120b'],
  ])('asks %s if it is the one whose key is there, or if told to', async ([name, prefix, url, model]) => {
    const script = [
      { toolCalls: [{ toolName: 'search', parameters: { query: 'hidden config' } }] },
      { text: 'By secret().' },
    ]
    await using provider = await strictProvider({ script: [...script, ...script], keys: ['k'] })
    const address = { [`${prefix}_API_KEY`]: 'k', [`${prefix}_BASE_URL`]: provider[url] }
    const found = await askWith(address, question)
    const told = await askWith({ ...address, OPENAI_API_KEY: 'another' }, '--provider', name, question)
    for (const { code, stdout, stderr } of [found, told]) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('By secret().')
    }
    expect(provider.refusals).toEqual([])
    expect(provider.requests.map(({ body }) => body['model'])).toEqual([model, model, model, model])
  })

  test('says that a model needs a way to it', async () => {
    const { code, stdout, stderr } = await ask('Why?', '--model', 'gpt-5')
    const problem =
      'There is no way to "gpt-5": set one of OPENAI_API_KEY, ANTHROPIC_API_KEY, GROQ_API_KEY, OPENROUTER_API_KEY, ' +
      'or name a server with --base-url.\n'
    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: problem })
  })

  test('says what failed', async () => {
    const error = { status: 401, body: { error: { message: 'No such key.' } } }
    await using provider = await strictProvider({ script: () => error })
    const { code, stdout, stderr } = await ask('Why?', '--base-url', provider.url, '--model', 'local')
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining('0 model calls') })
    expect(stderr).toContain('401')
  })

  test('stops at Ctrl-C', async () => {
    await using provider = await strictProvider({ hold: () => new Promise(() => {}) })
    const args = ['examples/ask/main.ts', 'Why?', '--base-url', provider.url, '--model', 'local']
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', (text) => {
      stderr += text
    })
    const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })))
    await vi.waitFor(() => expect(provider.liveRequests).toBe(1), { timeout: 20_000 })
    child.kill('SIGINT')
    expect(await ended).toEqual({ code: 130, signal: null })
    expect(stderr).toBe('Stopped.\n')
    await vi.waitFor(() => expect(provider.requests[0]?.clientAborted).toBe(true))
  })
})

describe('with files of its own', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tercet-ask-'))
  const outside = mkdtempSync(join(tmpdir(), 'tercet-outside-'))
  const registry = new ToolRegistry()
  const call = (toolName: string, parameters: object) => registry.dispatch({ toolName, parameters })
  const code = '```ts\nconst tea = brew(leaves)\n\nassert(tea.isHot)\n```'

  beforeAll(() => {
    mkdirSync(join(folder, 'docs'))
    mkdirSync(join(folder, '.git'))
    writeFileSync(join(folder, '.env'), 'KEY=secret')
    writeFileSync(join(folder, '.git/config'), 'secret')
    writeFileSync(join(folder, 'package.json'), '{}')
    writeFileSync(join(outside, 'secret.md'), 'secret')
    writeFileSync(
      join(folder, 'docs/tea.md'),
      `# Tea\n\nHow to brew tea:\n\n${code}\n\n## Milk\n\nNever in green tea.\n`,
    )
    writeFileSync(
      join(folder, 'docs/coffee.md'),
      '# Coffee\n\nGrind the beans.\n\n## In a test\n\nUse fake beans.\n',
    )
    writeFileSync(join(folder, 'docs/picture.md'), Buffer.from([137, 80, 0, 1]))
    symlinkSync(join(outside, 'secret.md'), join(folder, 'docs/link.md'))
    symlinkSync(outside, join(folder, 'docs/linked'))
    for (const one of corpusTools(folder)) registry.register(one)
  })
  afterAll(() => {
    for (const path of [folder, outside]) rmSync(path, { recursive: true })
  })

  test.for([
    '../../etc/passwd',
    '/etc/passwd',
    'docs/../package.json',
    'docs/../../tercet-outside/secret.md',
    './.env',
    '.env',
    '.git/config',
    'docs\\..\\.env',
    'docs/tea.md\0',
    'docs//tea.md',
    'package.json',
    'docs',
    'docs/none.md',
    'docs/link.md',
    'docs/linked/secret.md',
    'docs/picture.md',
    '__proto__',
  ])('read_file refuses %j', async (path) => {
    const { ok, output } = await call('read_file', { path })
    expect({ ok, output }).toEqual({ ok: false, output: expect.stringMatching(/^Error: /) })
    expect(output).not.toMatch(/secret$|KEY=|root:/)
  })

  test('read_file numbers the lines it gives', async () => {
    expect(await call('read_file', { path: 'docs/coffee.md', from: 3, to: 5 })).toMatchObject({
      ok: true,
      output: 'docs/coffee.md, lines 3-5 of 7\n3| Grind the beans.\n4| \n5| ## In a test',
    })
    expect(await call('read_file', { path: 'docs/coffee.md', from: 8 })).toMatchObject({ ok: false })
  })

  test('list_files names files with their titles, and no links', async () => {
    const { output } = await call('list_files', {})
    expect(output).toBe('docs/coffee.md — Coffee\ndocs/tea.md — Tea')
    expect(await call('list_files', { folder: '..' })).toMatchObject({ ok: false })
  })

  test('search tells which words stand nowhere', async () => {
    const { output } = await call('search', { query: 'green unicorns' })
    expect(output).toMatch(
      /^1 passages for: green, unicorns\. Found nowhere: unicorns\.\n\n\[1\] docs\/tea\.md:11-13 /,
    )
  })

  test('code is quoted whole, with its place', async () => {
    const answer = await new Agent({ client: offlineClient(), tools: corpusTools(folder) }).run(
      'How do I brew tea?',
    )
    expect(answer).toContain(`[docs/tea.md:1-9]\n\n# Tea\n\nHow to brew tea:\n\n${code}`)
  })

  test('a question may lean on the one before', async () => {
    const agent = new Agent({ client: offlineClient(), tools: corpusTools(folder) })
    expect(await agent.run('How is coffee made from beans?')).toContain('Grind the beans.')
    expect(await agent.run('And in a test?')).toContain('Use fake beans.')
    expect(await agent.run('What is the capital of Peru?')).toMatch(/^Not found in the docs: /)
  })

  test('a question without a word to look for is answered by the beginning of the README', async () => {
    const agent = new Agent({ client: offlineClient(), tools: corpusTools(root) })
    expect(await agent.run('What is this?')).toMatch(/^\[README\.md:1-\d+\]\n\n# Tercet\n/)
  })

  test('a tool that fails is told of', async () => {
    const tools = corpusTools(folder).map((one) =>
      one.name !== 'read_file'
        ? one
        : tool({
            name: 'read_file',
            description: '',
            parameters: z.object({ path: z.string() }),
            effect: 'read',
            execute: () => {
              throw new Error('The disk is on fire.')
            },
          }),
    )
    const agent = new Agent({ client: offlineClient(), tools })
    expect(await agent.run('How do I brew tea?')).toContain('The disk is on fire.')
  })
})

describe('the terminal', () => {
  const token = (text: string): AgentEvent => ({
    type: 'token',
    runId: 'r',
    stepId: 's',
    channel: 'answer',
    text,
  })

  test('cannot be steered by what a model says', () => {
    let shown = ''
    const terminal = new Terminal((text) => {
      shown += text
    }, false)
    terminal.show(token('red: \u001b[31m\u009b2Jno\r\n'))
    expect(shown).toBe('\nred: [31m2Jno\n')
  })

  test.for([true, false])('has colors only if asked: %s', (colors) => {
    let shown = ''
    const terminal = new Terminal((text) => {
      shown += text
    }, colors)
    terminal.notice('Hello')
    expect(shown.includes('\u001b[')).toBe(colors)
  })
})
