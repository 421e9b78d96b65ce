import { describe, expect, it } from 'vitest'
import { Agent } from '../../src/index.ts'
import { ScriptedClient } from '../../src/testing/index.ts'
import config from '../../vitest.config.ts'
import { filesUnder, read } from '../support/repository.ts'
import { eventsOf } from './events-of.ts'

/** Tests in files whose path begins so; a table of cases counts as one. */
const testsIn = (...starts: readonly string[]) =>
  filesUnder('test')
    .filter((path) => path.endsWith('.test.ts') && starts.some((start) => path.startsWith(start)))
    .reduce((sum, path) => sum + (read(path).match(/^ *(it|test)(\.each)?\(/gm)?.length ?? 0), 0)

describe('seed 004, quality', () => {
  it.each([
    ['conversation', 17, ['test/memory/', 'test/seeds/004-conversation']],
    [
      'agent',
      14,
      ['test/agent/', 'test/seeds/000-runtime', 'test/seeds/002-lifecycle', 'test/seeds/004-loop'],
    ],
    ['tool registry', 13, ['test/tools/registry', 'test/tools/toolset']],
    ['provider', 10, ['test/providers/', 'test/client/']],
  ])('004-47 tests the %s with %d tests or more', (_, least, starts) => {
    expect(testsIn(...starts)).toBeGreaterThanOrEqual(least)
  })

  it('004-48 fails a coverage of less than 80 % of the lines', () => {
    expect(config.test?.coverage).toMatchObject({ include: ['src/**'], thresholds: { lines: 80 } })
    expect(scripts()['coverage']).toMatch(/vitest run --coverage/)
  })

  it('004-49 checks format, lint, types, tests and the package by one command', () => {
    const { typecheck, lint, build, test, verify } = scripts()
    for (const script of [typecheck, lint, build, test]) expect(script).toBeTypeOf('string')
    // `biome ci` treats both a file that is not formatted and a lint error as a failure.
    expect(lint).toMatch(/biome ci/)
    for (const part of ['npm run lint', 'npm run typecheck', 'npm test', 'npm run check:pack']) {
      expect(verify).toContain(part)
    }
  })

  // Times depend on the machine: they are measured by `vitest bench`, and asserted nowhere.
  it('004-50 measures making an agent, pruning and counting', () => {
    const measured = filesUnder('bench').filter((path) => path.endsWith('.bench.ts'))
    expect(measured).toEqual(expect.arrayContaining(['bench/agent.bench.ts', 'bench/memory.bench.ts']))
  })

  it('004-52 streams the very text it would have given in one piece', async () => {
    const answer = 'Café 👍🏽 — done.\n'
    for (const chunkSize of [1, 2, 7, 1_000]) {
      const streaming = new Agent({ client: new ScriptedClient([answer], { chunkSize }) })
      const events = await eventsOf(streaming.runStream('Say it.'))
      const text = events.map((event) =>
        event.type === 'token' && event.channel === 'answer' ? event.text : '',
      )
      const plain = new Agent({
        client: new ScriptedClient([answer], { capabilities: { streaming: false } }),
      })
      expect(text.join('')).toBe(await plain.run('Say it.'))
      expect(streaming.history).toEqual(plain.history)
    }
  })
})

function scripts(): Readonly<Record<string, string | undefined>> {
  return (JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts // our own file
}
