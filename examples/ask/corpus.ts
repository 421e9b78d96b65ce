import {
  type Dirent,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Tool, tool } from 'tercet'
import { z } from 'zod'
import { passagesOf } from './passages.ts'
import { type Hit, SearchIndex } from './search-index.ts'
import { contentWords } from './words.ts'

/** What of a repository may be read: nothing beside it, whatever a model asks for. */
const readable = ['README.md', 'CHANGELOG.md', 'AGENTS.md', 'docs', 'src', 'examples']

const mostLines = 200
const mostCharacters = 12_000
const mostBytes = 1_000_000
const longestExcerpt = 14

/** Three tools over the documentation and the source in the folder `root`. They read, and nothing else. */
export function corpusTools(root: string): Tool[] {
  const corpus = new Corpus(root)
  return [
    tool({
      name: 'list_files',
      description: 'Lists the files of the repository that can be read, with their titles.',
      parameters: z.object({
        folder: z
          .string()
          .optional()
          .describe('Only what is in this folder, such as "docs". Default: everything.'),
      }),
      effect: 'read',
      execute: ({ folder }) => corpus.list(folder ?? ''),
    }),
    tool({
      name: 'search',
      description:
        'Finds the passages of the documentation and the source that speak of the given words, best first. Each has ' +
        'its file and lines, and how much of what was looked for it speaks of.',
      parameters: z.object({
        query: z.string().min(1).describe('A few telling words. No operators, no filler words.'),
        limit: z.number().int().min(1).max(20).default(6).describe('Passages at most.'),
      }),
      effect: 'read',
      execute: ({ query, limit }) => corpus.search(query, limit),
    }),
    tool({
      name: 'read_file',
      description: `Reads lines of a file that list_files or search named, at most ${mostLines} at once, with their numbers.`,
      parameters: z.object({
        path: z.string().min(1).describe('As it was named, such as "docs/tools.md".'),
        from: z.number().int().min(1).default(1).describe('The first line.'),
        to: z.number().int().min(1).optional().describe('The last line. Default: as many as fit.'),
      }),
      effect: 'read',
      execute: ({ path, from, to }) => corpus.read(path, from, to),
    }),
  ]
}

class Corpus {
  readonly #root: string
  #index: SearchIndex | undefined

  constructor(root: string) {
    this.#root = realpathSync(root)
  }

  list(folder: string): string {
    const within = folder.replace(/^\.?\/|\/+$/g, '')
    const isWithin = (path: string) => within === '' || path === within || path.startsWith(`${within}/`)
    const files = this.#texts().filter(({ path }) => isWithin(path))
    if (files.length === 0)
      throw new Error(`There is no folder "${folder}". Readable: ${readable.join(', ')}.`)
    return files.map(({ path, text }) => `${path}${titleOf(path, text)}`).join('\n')
  }

  search(query: string, limit: number): string {
    this.#index ??= new SearchIndex(this.#texts().flatMap(({ path, text }) => passagesOf(path, text)))
    const { hits, unknown } = this.#index.find(query, limit)
    const words = contentWords(query).map(({ text }) => text)
    const nowhere = unknown.length > 0 ? ` Found nowhere: ${unknown.join(', ')}.` : ''
    const head = `${hits.length} passages for: ${words.join(', ')}.${nowhere}`
    return [head, ...hits.map(hitText)].join('\n\n')
  }

  read(path: string, from: number, to = from + mostLines - 1): string {
    const lines = this.#checkedText(path).replace(/\n$/, '').split(/\r?\n/)
    if (from > lines.length)
      throw new Error(`${path} has ${lines.length} lines; line ${from} is not one of them.`)
    if (to < from) throw new Error(`to (${to}) is before from (${from}).`)
    const shown: string[] = []
    let characters = 0
    for (const line of lines.slice(from - 1, Math.min(to, from + mostLines - 1))) {
      characters += line.length
      if (characters > mostCharacters) break
      shown.push(`${from + shown.length}| ${line}`)
    }
    if (shown.length === 0)
      shown.push(`${from}| ${lines[from - 1]?.slice(0, mostCharacters)} … (the line is longer)`)
    return `${path}, lines ${from}-${from + shown.length - 1} of ${lines.length}\n${shown.join('\n')}`
  }

  /** @throws Error, in words for a model, for what is none of the files or leads out of the repository. */
  #checkedText(path: string): string {
    const parts = path.split('/')
    const inside = readable.includes(parts[0] ?? '') && !/[\\\0]/.test(path)
    if (!inside || parts.some((part) => part === '' || part.startsWith('.') || part === 'node_modules')) {
      throw new Error(
        `"${path}" cannot be read. Readable: ${readable.join(', ')}. list_files names every file.`,
      )
    }
    const file = join(this.#root, ...parts)
    const info = statSync(file, { throwIfNoEntry: false })
    if (!info?.isFile()) throw new Error(`There is no file "${path}". list_files names those that exist.`)
    // A link may lead anywhere, also from within a folder.
    if (realpathSync(file) !== file) throw new Error(`"${path}" is a link, and links are not followed.`)
    const text = this.#text(path)
    if (text === undefined) throw new Error(`"${path}" is too large, or no text.`)
    return text
  }

  #text(path: string): string | undefined {
    const file = join(this.#root, path)
    if (statSync(file).size > mostBytes) return undefined
    const bytes = readFileSync(file)
    return bytes.includes(0) ? undefined : bytes.toString('utf8')
  }

  #texts(): { path: string; text: string }[] {
    return this.#files().flatMap((path) => {
      const text = this.#text(path)
      return text === undefined ? [] : [{ path, text }]
    })
  }

  /** Paths of all files that may be read. Links are not followed, as `readdir` by itself would in its recursive form. */
  #files(): string[] {
    const under = (path: string, entry: Dirent | Stats): string[] => {
      if (entry.isFile()) return /\.(?:md|ts|mts|js|json)$/.test(path) ? [path] : []
      if (!entry.isDirectory()) return []
      return readdirSync(join(this.#root, path), { withFileTypes: true })
        .filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .flatMap((child) => under(`${path}/${child.name}`, child))
    }
    return readable.flatMap((name) => {
      const info = lstatSync(join(this.#root, name), { throwIfNoEntry: false })
      return info ? under(name, info) : []
    })
  }
}

function titleOf(path: string, text: string): string {
  const title = path.endsWith('.md') ? /^# (.+)$/m.exec(text)?.[1] : undefined
  return title === undefined ? '' : ` — ${title}`
}

/** The form that `readHits` of the offline client takes apart again. */
function hitText({ passage, score, coverage }: Hit, index: number): string {
  const { path, from, to, heading, text } = passage
  const lines = text.split('\n')
  const excerpt = lines.slice(0, longestExcerpt)
  if (lines.length > longestExcerpt) excerpt.push(`… (${lines.length - longestExcerpt} more lines)`)
  const rank = `covers ${Math.round(coverage * 100)} %, score ${score.toFixed(1)}`
  return `[${index + 1}] ${path}:${from}-${to} (${rank})${heading && ` — ${heading}`}\n${excerpt.join('\n')}`
}
