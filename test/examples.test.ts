import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { distProblem } from './support/dist.ts'
import { exampleProblems } from './support/examples.ts'
import { filesUnder, root } from './support/repository.ts'

const examples = filesUnder('examples').filter((path) => /^examples\/[^/]+\.ts$/.test(path))

describe('every example', () => {
  test('runs on a build of the source as it stands', () => {
    expect(distProblem()).toBeUndefined()
  })

  test.concurrent.for(examples)(
    '%s is short, asserts, and runs in silence without a key or a network',
    {
      timeout: 60_000,
    },
    async (path, { expect }) => {
      expect(await exampleProblems(join(root, path))).toEqual([])
    },
  )
})

describe('the check of an example', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tercet-examples-'))
  beforeAll(() => {
    vi.stubEnv('OPENAI_API_KEY', 'a-key-of-ours')
  })
  afterAll(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  })

  const assert = "import assert from 'node:assert/strict'\n"
  test.concurrent.for<[name: string, text: string, problems: unknown]>([
    ['passes a program that asserts and ends', `${assert}assert.equal(1, 1)\nconsole.log('1')`, []],
    [
      'reports a failing program',
      `${assert}assert.equal(1, 2)`,
      [expect.stringMatching(/^exit code 1: .*AssertionError/s)],
    ],
    ['reports one that asserts nothing', "console.log('assert')", ['has no assertion']],
    [
      'reports one that is too long',
      `${assert}assert.ok(1)${'\n'.repeat(60)}assert.ok(2)`,
      ['is 62 lines long, more than 50'],
    ],
    [
      'reports a warning',
      `${assert}assert.ok(1)\nprocess.emitWarning('old')`,
      [expect.stringMatching(/^prints to stderr: .*Warning: old/s)],
    ],
    [
      'keeps a key of ours from the program',
      `${assert}assert.equal(process.env.OPENAI_API_KEY, undefined)`,
      [],
    ],
    [
      'reports a connection it hides',
      `${assert}assert.ok(1)\nawait fetch('http://192.0.2.1/').catch(() => {})`,
      ['prints to stderr: network access refused: 192.0.2.1\n'],
    ],
    [
      'reports a name it looks up',
      `${assert}import { lookup } from 'node:dns/promises'\nawait assert.rejects(async () => lookup('example.com'))`,
      ['prints to stderr: network access refused: example.com\n'],
    ],
    [
      'lets a program talk to itself',
      `${assert}import { createServer } from 'node:http'
      const server = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1')
      await new Promise((resolve) => server.once('listening', resolve))
      const { port } = server.address() as import('node:net').AddressInfo
      assert.equal(await (await fetch(\`http://127.0.0.1:\${port}\`)).text(), 'hello')
      assert.equal(await (await fetch(\`http://localhost:\${port}\`)).text(), 'hello')
      server.close()`,
      [],
    ],
  ])('%s', async ([name, text, problems], { expect }) => {
    const path = join(folder, `${name.replaceAll(' ', '-')}.mts`)
    writeFileSync(path, text)
    expect(await exampleProblems(path)).toEqual(problems)
  })
})
