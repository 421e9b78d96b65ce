import { stemsOf } from './words.ts'

/** Lines of a file. */
export interface Excerpt {
  readonly path: string
  /** The number of its first line. */
  readonly from: number
  readonly lines: readonly string[]
}

/** What of an excerpt answers a question, word for word, in at most `most` lines, under the place where it stands. */
export function quote(excerpt: Excerpt, stems: ReadonlySet<string>, most: number): string {
  const isProse = excerpt.path.endsWith('.md')
  const whole = { index: 0, at: 0, lines: excerpt.lines.slice(0, most), isCut: excerpt.lines.length > most }
  const blocks = isProse ? choose(proseBlocks(excerpt.lines), stems, most) : [whole]
  const first = blocks[0]
  const last = blocks.at(-1)
  if (!first || !last) return ''
  const from = excerpt.from + first.at
  const to = excerpt.from + last.at + last.lines.length - 1
  const parts = blocks.map((block, index) => gap(blocks[index - 1], block) + block.lines.join('\n'))
  const text = `${parts.join('')}${last.isCut ? `${isProse ? '\n' : ''}\n…` : ''}`
  const body = isProse ? text : `\`\`\`ts\n${text}\n\`\`\``
  return `[${excerpt.path}:${from === to ? from : `${from}-${to}`}]\n\n${body}`
}

/** A heading, a paragraph with the code or the table it announces, or an item of a list. */
interface Block {
  /** Its place among the blocks. */
  readonly index: number
  /** Its first line, counted from that of the excerpt. */
  readonly at: number
  readonly lines: readonly string[]
  /** The end of it was left out. */
  readonly isCut: boolean
}

/** What was left out between two blocks is marked. */
function gap(before: Block | undefined, block: Block): string {
  if (!before) return ''
  if (before.isCut || block.index > before.index + 1) return '\n\n…\n\n'
  return block.at === before.at + before.lines.length ? '\n' : '\n\n'
}

const isHeading = (line: string | undefined): boolean => /^#{1,6} /.test(line ?? '')

const isFence = (line: string): boolean => /^\s*(?:```|~~~)/.test(line)

function proseBlocks(lines: readonly string[]): Block[] {
  const blocks: { index: number; at: number; lines: string[]; isCut: boolean }[] = []
  let isOpen = false
  let fenced = false
  lines.forEach((line, at) => {
    const last = blocks.at(-1)
    const isBlank = !fenced && (line.trim() === '' || /^<!--.*-->$/.test(line.trim()))
    const isItem = !fenced && /^(?:[-*]|\d+\.) /.test(line)
    const isAnnounced = isFence(line)
      ? !isHeading(last?.lines[0])
      : last?.lines.at(-1)?.endsWith(':') === true
    if (last && !isOpen && !isBlank && !isItem && isAnnounced) {
      while (last.at + last.lines.length < at) last.lines.push('')
      isOpen = true
    }
    if (isBlank || isItem || (!fenced && isHeading(line))) isOpen = false
    if (isFence(line)) fenced = !fenced
    if (isBlank) return
    // What stands behind the language is for those who run the code.
    const shown = isFence(line) ? line.replace(/^(\s*(?:```|~~~)\w*).*$/, '$1') : line
    if (isOpen) last?.lines.push(shown)
    else blocks.push({ index: blocks.length, at, lines: [shown], isCut: false })
    isOpen = fenced || !(isFence(line) || isHeading(line))
  })
  return blocks
}

/** All blocks if they are few; otherwise the heading and the best ones, in the order of the file. */
function choose(blocks: readonly Block[], stems: ReadonlySet<string>, most: number): Block[] {
  const total = blocks.reduce((sum, { lines }) => sum + lines.length, 0)
  if (total <= most) return [...blocks]
  const title = isHeading(blocks[0]?.lines[0]) ? blocks[0] : undefined
  const ranked = blocks
    .filter((block) => block !== title)
    // The first paragraph says what the others are about.
    .map((block, index) => ({ block, score: relevance(block, stems) + (index === 0 ? 0.5 : 0) }))
    .sort((a, b) => b.score - a.score || a.block.index - b.block.index)
  const chosen: Block[] = title ? [title] : []
  let left = most
  for (const { block, score } of ranked) {
    if (score === 0 && left < most) break
    const shown = block.lines.length <= left ? block : withoutCode(block)
    if (shown.lines.length === 0 || shown.lines.length > left) continue
    chosen.push(shown)
    left -= shown.lines.length
  }
  return chosen.sort((a, b) => a.index - b.index)
}

/** The paragraph that stands before the code, if there is one. */
function withoutCode(block: Block): Block {
  const code = block.lines.findIndex(isFence)
  const lines = block.lines.slice(0, Math.max(0, code))
  while (lines.at(-1) === '') lines.pop()
  return { ...block, lines, isCut: true }
}

function relevance({ lines }: Block, stems: ReadonlySet<string>): number {
  const words = stemsOf(lines.join(' '))
  const met = new Set(words.filter((word) => stems.has(word))).size
  return met === 0 ? 0 : met + 1 / (1 + words.length)
}
