import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { run, runNode } from './child.ts'
import { type Fence, fencesOf } from './markdown.ts'
import { root } from './repository.ts'

/** One program of a page: a fence, with those after it that continue it. */
export interface Snippet {
  page: string
  /** Where its text starts in the page, from 1. */
  line: number
  runs: boolean
  /** The program, each line at the number it has in the page. */
  text: string
}

/** The programs of a page, and what is wrong with its fences, as `page:line: …`. */
export interface PageSnippets {
  snippets: Snippet[]
  problems: string[]
}

/**
 * Reads the programs of a page from its `ts` fences. The words after `ts`: `no-run` (type-checked only), `continue`
 * (one program with the fence before) and `ignore <reason>`.
 */
export function snippetsOf(page: string, markdown: string): PageSnippets {
  const snippets: Snippet[] = []
  const problems: string[] = []
  for (const fence of fencesOf(markdown)) {
    const [language = '', ...words] = fence.info.split(/\s+/)
    const problem = problemOf(language, words, snippets.length > 0)
    if (problem !== undefined) problems.push(`${page}:${fence.line - 1}: ${problem}`)
    else if (language === 'ts' && words[0] !== 'ignore') addTo(snippets, page, fence, words)
  }
  return { snippets, problems }
}

function problemOf(language: string, words: readonly string[], hasPrevious: boolean): string | undefined {
  const [first, ...reason] = words
  if (first === 'ignore' && isCode(language)) {
    return reason.length > 0 ? undefined : 'ignore needs a reason: ```ts ignore <reason>'
  }
  if (language !== 'ts') {
    return isCode(language)
      ? `nobody runs a fence of ${language}: write ts, or ignore with a reason`
      : undefined
  }
  const unknown = words.find((word) => word !== 'no-run' && word !== 'continue')
  if (unknown !== undefined) return `"${unknown}" says nothing here: no-run, continue or ignore <reason>`
  if (words.includes('continue') && !hasPrevious) return 'continues nothing: there is no program before it'
  return undefined
}

function isCode(language: string): boolean {
  return /^(tsx?|mts|cts|typescript|jsx?|mjs|cjs|javascript)$/i.test(language)
}

function addTo(snippets: Snippet[], page: string, { line, code }: Fence, words: readonly string[]): void {
  const runs = !words.includes('no-run')
  const previous = words.includes('continue') ? snippets.pop() : undefined
  const before = previous?.text ?? ''
  // Padded, so that a compiler's or a stack's line number is the page's.
  const padding = '\n'.repeat(line - 1 - (before.split('\n').length - 1))
  snippets.push({
    page,
    line: previous?.line ?? line,
    runs: runs && (previous?.runs ?? true),
    text: `${before}${padding}${code}`,
  })
}

/** Snippets as files of their own, inside the repository so that the package finds itself by name. */
export interface WrittenSnippets {
  folder: string
  paths: ReadonlyMap<Snippet, string>
}

/** Writes each snippet to `folder` (inside the repository, emptied first) beside a tsconfig that checks them all. */
export function writeSnippets(snippets: readonly Snippet[], folder: string): WrittenSnippets {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const paths = new Map<Snippet, string>()
  for (const snippet of snippets) {
    const path = join(folder, `${snippet.page.replace(/\.md$/, '').replaceAll('/', '-')}-${snippet.line}.ts`)
    writeFileSync(path, snippet.text)
    paths.set(snippet, path)
  }
  const compilerOptions = { moduleDetection: 'force', noUnusedLocals: false }
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['*.ts'] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  return { folder, paths }
}

/** Type-checks all snippets at once with the fast compiler; each error as `page:line: …`. */
export async function typeErrors({ folder, paths }: WrittenSnippets): Promise<string[]> {
  if (paths.size === 0) return []
  const compiler = join(root, 'node_modules/typescript-7/bin/tsc')
  const args = [compiler, '--noEmit', '--pretty', 'false', '-p', join(folder, 'tsconfig.json')]
  const { code, stdout, stderr } = await run(process.execPath, args, { cwd: root, timeoutMs: 120_000 })
  if (code === 0) return []
  const pages = new Map([...paths].map(([{ page }, path]) => [path, page]))
  const errors = `${stdout}${stderr}`.split('\n').flatMap((line) => {
    const [, file, at, message = ''] = /^(.+?)\((\d+),\d+\): error (.*)$/.exec(line) ?? []
    if (file === undefined) return /error/.test(line) ? [line] : []
    const page = pages.get(resolve(root, file))
    // What is wrong in src itself is for the type check of src to say.
    return page === undefined ? [] : [`${page}:${at}: ${message}`]
  })
  if (errors.length === 0 && code === null) return [`the type check did not end: ${stdout}${stderr}`]
  return errors
}

/** The provider a snippet talks to, and what it refused. */
export interface SnippetProvider {
  url: string
  refusals: readonly unknown[]
}

/** Runs a snippet against a provider on this machine; what went wrong, as `page:line: …`. */
export async function snippetFailures(
  snippet: Snippet,
  path: string,
  provider: SnippetProvider,
): Promise<string[]> {
  const { code, stdout, stderr } = await runNode([path], {
    cwd: root,
    env: { OPENAI_API_KEY: 'test-key', OPENAI_BASE_URL: provider.url },
  })
  const refused = provider.refusals.map(
    (refusal) => `the provider refused a request: ${JSON.stringify(refusal)}`,
  )
  const failed =
    code === 0 ? [] : [`${code === null ? 'was killed' : `exit code ${code}`}: ${stderr || stdout}`]
  const left = code === 0 && stderr.includes('network access refused') ? [stderr.trimEnd()] : []
  return [...failed, ...refused, ...left].map((problem) => {
    const at = lineIn(problem, path) ?? snippet.line
    return `${snippet.page}:${at}: ${problem}`
  })
}

/** The line of the snippet that a stack names first. */
function lineIn(stack: string, path: string): string | undefined {
  const after = stack.split(`${path}:`)[1]
  return after === undefined ? undefined : /^\d+/.exec(after)?.[0]
}
