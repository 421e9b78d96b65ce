import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { strictProvider } from '../src/testing/strict-provider.ts'
import { distProblem } from './support/dist.ts'
import { filesUnder, read, root } from './support/repository.ts'
import { type Snippet, snippetFailures, snippetsOf, typeErrors, writeSnippets } from './support/snippets.ts'

const pages = ['README.md', ...filesUnder('docs')]
  .filter((path) => path.endsWith('.md') && existsSync(join(root, path)))
  .map((page) => snippetsOf(page, read(page)))
const snippets = pages.flatMap((page) => page.snippets)
const written = writeSnippets(snippets, join(root, '.snippets/pages'))

describe('every snippet of the README and the docs', () => {
  test('says in its fence how it is checked', () => {
    expect(pages.flatMap((page) => page.problems)).toEqual([])
  })

  test('type-checks against the source', { timeout: 120_000 }, async () => {
    expect(await typeErrors(written)).toEqual([])
  })

  test('runs on a build of the source as it stands', () => {
    expect(distProblem()).toBeUndefined()
  })

  test.concurrent.for(
    snippets
      .filter(({ runs }) => runs)
      .map((snippet) => [`${snippet.page}:${snippet.line}`, snippet] as const),
  )(
    '%s runs, and sends only what the provider accepts',
    { timeout: 60_000 },
    async ([, snippet], { expect }) => {
      expect(await failuresOf(snippet, written.paths.get(snippet) ?? '')).toEqual([])
    },
  )
})

describe('the check of a snippet', () => {
  const folder = join(root, '.snippets/checks')
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const page = (...lines: string[]): string => lines.join('\n')

  test('joins what continues, at the line numbers of the page, and leaves out what is ignored', () => {
    const markdown = page(
      '# Page',
      '```ts',
      'const a = 1',
      '```',
      'words',
      '```sh',
      'npm ci',
      '```',
      '```ts continue',
      'console.log(a)',
      '```',
      '```ts no-run',
      'await fetch("x")',
      '```',
      '```ts ignore shows the wire',
      '???',
      '```',
    )
    expect(snippetsOf('docs/a.md', markdown)).toEqual({
      snippets: [
        { page: 'docs/a.md', line: 3, runs: true, text: '\n\nconst a = 1\n\n\n\n\n\n\nconsole.log(a)\n' },
        { page: 'docs/a.md', line: 13, runs: false, text: `${'\n'.repeat(12)}await fetch("x")\n` },
      ],
      problems: [],
    })
  })

  test('reports fences that nobody would check', () => {
    const markdown = page(
      '```ts continue',
      '```',
      '```ts ignore',
      '```',
      '```ts norun',
      '```',
      '```javascript',
      '```',
    )
    expect(snippetsOf('README.md', markdown).problems).toEqual([
      'README.md:1: continues nothing: there is no program before it',
      'README.md:3: ignore needs a reason: ```ts ignore <reason>',
      'README.md:5: "norun" says nothing here: no-run, continue or ignore <reason>',
      'README.md:7: nobody runs a fence of javascript: write ts, or ignore with a reason',
    ])
  })

  test('reports a type error and a failure at the line of the page', { timeout: 60_000 }, async () => {
    const markdown = page(
      '```ts',
      'const a: number = "text"',
      'throw new Error("late")',
      '```',
      '```ts',
      "import { nothing } from 'node:path'",
      '```',
      '```ts',
      'await Promise.resolve(process.env["OPENAI_API_KEY"])',
      '```',
    )
    const { snippets } = snippetsOf('docs/deep/a.md', markdown)
    const written = writeSnippets(snippets, folder)
    expect(await typeErrors(written)).toEqual([
      "docs/deep/a.md:2: TS2322: Type 'string' is not assignable to type 'number'.",
      expect.stringMatching(/^docs\/deep\/a\.md:6: TS2305: .*nothing/),
    ])
    const [first, second, third] = await Promise.all(
      snippets.map((snippet) => failuresOf(snippet, written.paths.get(snippet) ?? '')),
    )
    expect(first).toEqual([expect.stringMatching(/^docs\/deep\/a\.md:3: exit code 1: .*Error: late/s)])
    expect(second).toEqual([expect.stringMatching(/^docs\/deep\/a\.md:6: exit code 1: .*nothing/s)])
    expect(third).toEqual([])
  })

  test('reports what the provider refused', { timeout: 60_000 }, async () => {
    const markdown = page(
      '```ts',
      "await fetch(process.env['OPENAI_BASE_URL'] + '/chat/completions', { method: 'POST', body: '{' })",
      '```',
    )
    const { snippets } = snippetsOf('README.md', markdown)
    const written = writeSnippets(snippets, folder)
    const [failures] = await Promise.all(
      snippets.map((snippet) => failuresOf(snippet, written.paths.get(snippet) ?? '')),
    )
    expect(failures).toEqual([expect.stringMatching(/^README\.md:2: the provider refused a request: /)])
  })
})

async function failuresOf(snippet: Snippet, path: string): Promise<string[]> {
  const provider = await strictProvider({ keys: ['test-key'] })
  try {
    return await snippetFailures(snippet, path, provider)
  } finally {
    await provider.close()
  }
}
