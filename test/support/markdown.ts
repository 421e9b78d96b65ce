/** A fenced block: its info string, its text, and the line (from 1) its first line of text stands on. */
export interface Fence {
  info: string
  code: string
  line: number
}

/** The fenced blocks of a Markdown page, in order. A fence that is never closed ends with the page. */
export function fencesOf(markdown: string): Fence[] {
  const fences: Fence[] = []
  let open: { marker: string; indent: number; info: string; line: number; lines: string[] } | undefined
  const close = () => {
    if (open) fences.push({ info: open.info, code: `${open.lines.join('\n')}\n`, line: open.line })
    open = undefined
  }
  for (const [index, line] of markdown.split('\n').entries()) {
    const fence = /^( *)(`{3,}|~{3,})([^`]*)$/.exec(line)
    if (open) {
      const [, , marker = '', info = ''] = fence ?? []
      if (info.trim() === '' && marker.startsWith(open.marker)) close()
      else open.lines.push(line.slice(Math.min(open.indent, line.length - line.trimStart().length)))
    } else if (fence) {
      const [, indent = '', marker = '', info = ''] = fence
      open = { marker, indent: indent.length, info: info.trim(), line: index + 2, lines: [] }
    }
  }
  close()
  return fences
}

/** The texts of all headings of a Markdown page, in order; lines inside fences are no headings. */
export function headingsOf(markdown: string): string[] {
  return proseLinesOf(markdown).flatMap((line) => /^#{1,6} +(.*?) *#*$/.exec(line)?.[1] ?? [])
}

/** The names that stand as headings of their own, such as `aborted` in "### `aborted`", in order. */
export function codeHeadingsOf(markdown: string): string[] {
  return headingsOf(markdown).flatMap((heading) => /^`([^`]+)`$/.exec(heading)?.[1] ?? [])
}

/** The cells of each row of the first table whose first header cell is `firstHeader`; without the header. */
export function tableOf(markdown: string, firstHeader: string): string[][] {
  const lines = proseLinesOf(markdown)
  const start = lines.findIndex((line) => line.startsWith('|') && cellsOf(line)[0] === firstHeader)
  if (start < 0) return []
  const rows = lines.slice(start + 2)
  const end = rows.findIndex((line) => !line.startsWith('|'))
  return (end < 0 ? rows : rows.slice(0, end)).map(cellsOf)
}

/** The texts of the code spans in a piece of Markdown. */
export function codeSpansOf(markdown: string): string[] {
  return [...markdown.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text)
}

function cellsOf(row: string): string[] {
  return row
    .replace(/^\||\|$/g, '')
    .split('|')
    .map((cell) => cell.trim())
}

function proseLinesOf(markdown: string): string[] {
  let marker: string | undefined
  return markdown.split('\n').filter((line) => {
    const [, found] = /^ *(`{3,}|~{3,})/.exec(line) ?? []
    if (marker === undefined) {
      marker = found
      return found === undefined
    }
    if (found?.startsWith(marker) && line.trim() === found) marker = undefined
    return false
  })
}
