import { stemsOf } from './words.ts'

/** Lines of a file. */
export interface Excerpt {
  readonly path: string
  /** The number of its first line. */
  readonly from: number
  readonly lines: readonly string[]
}

/** What of an excerpt answers a question, word for word, at most about `most` lines, under the place where it stands. */
export function quote(excerpt: Excerpt, stems: ReadonlySet<string>, most: number): string {
  const isProse = excerpt.path.endsWith('.md')
  const blocks = isProse ? proseBlocks(excerpt.lines) : [{ at: 0, lines: excerpt.lines.slice(0, most) }]
  const chosen = choose(blocks, stems, most)
  const first = chosen[0]
  const last = chosen.at(-1)
  if (!first || !last) return ''
  const from = excerpt.from + first.at
  const to = excerpt.from + last.at + last.lines.length - 1
  const texts = chosen.map(({ at, lines }, index) => {
    const before = chosen[index - 1]
    const skipped =
      before !== undefined && blocks.indexOf(before) + 1 < blocks.findIndex((block) => block.at === at)
    return `${skipped ? '…\n\n' : ''}${lines.join('\n')}`
  })
  const body = isProse ? texts.join('\n\n') : `\`\`\`ts\n${texts.join('\n')}\n\`\`\``
  return `[${excerpt.path}:${from === to ? from : `${from}-${to}`}]\n\n${body}`
}

/** A paragraph, a list, a table, a heading or a whole code block. */
interface Block {
  /** Its first line, counted from that of the excerpt. */
  readonly at: number
  readonly lines: readonly string[]
}

function proseBlocks(lines: readonly string[]): Block[] {
  const blocks: { at: number; lines: string[] }[] = []
  let open: { at: number; lines: string[] } | undefined
  let fenced = false
  lines.forEach((line, at) => {
    const fence = /^\s*(?:```|~~~)/.test(line)
    const heading = !fenced && /^#{1,6} /.test(line)
    const blank = !fenced && line.trim() === ''
    // A fence without its end, at the end of what was read, stays as it is.
    if (blank || heading || (fence && !fenced)) open = undefined
    if (fence) fenced = !fenced
    if (blank || /^<!--.*-->$/.test(line.trim())) return
    if (!open) {
      open = { at, lines: [] }
      blocks.push(open)
    }
    open.lines.push(line)
    if (heading || (fence && !fenced)) open = undefined
  })
  return blocks
}

/** All blocks if they are few; otherwise the best ones, each with the code it announces, in the order of the file. */
function choose(blocks: readonly Block[], stems: ReadonlySet<string>, most: number): Block[] {
  const total = blocks.reduce((sum, { lines }) => sum + lines.length, 0)
  if (total <= most) return [...blocks]
  const ranked = blocks
    .map((block, index) => ({ index, score: relevance(block, stems) }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
  const chosen = new Set<number>()
  let left = most
  for (const { index, score } of ranked) {
    if (score === 0 && chosen.size > 0) break
    for (const at of withCode(blocks, index)) {
      const length = blocks[at]?.lines.length ?? 0
      if (chosen.has(at) || (length > left && chosen.size > 0)) continue
      chosen.add(at)
      left -= length
    }
  }
  return blocks.filter((_, index) => chosen.has(index))
}

function relevance({ lines }: Block, stems: ReadonlySet<string>): number {
  const words = stemsOf(lines.join(' '))
  const met = new Set(words.filter((word) => stems.has(word))).size
  return met === 0 ? 0 : met + 1 / (1 + words.length)
}

/** A paragraph and the code after it, or code and the paragraph before it, belong together. */
function withCode(blocks: readonly Block[], index: number): number[] {
  const isCode = (at: number) => /^\s*(?:```|~~~)/.test(blocks[at]?.lines[0] ?? '')
  if (isCode(index)) return index > 0 && !isCode(index - 1) ? [index - 1, index] : [index]
  return isCode(index + 1) ? [index, index + 1] : [index]
}
