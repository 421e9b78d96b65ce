/** A piece of a file that can be read by itself. */
export interface Passage {
  readonly path: string
  /** The first and the last line, counted from 1. */
  readonly from: number
  readonly to: number
  /** What it stands under: headings, or the name it declares. */
  readonly heading: string
  readonly text: string
}

/** A file in passages: the sections of Markdown, the declarations of TypeScript. */
export function passagesOf(path: string, text: string): Passage[] {
  const lines = text.split(/\r?\n/)
  const cuts = path.endsWith('.md') ? sectionCuts(lines) : declarationCuts(lines)
  return cuts.flatMap(({ from, heading }, index): Passage[] => {
    const end = cuts[index + 1]?.from ?? lines.length + 1
    const body = lines.slice(from - 1, end - 1)
    while (body.at(-1)?.trim() === '') body.pop()
    if (body.length === 0) return []
    return [{ path, from, to: from + body.length - 1, heading, text: body.join('\n') }]
  })
}

/** Where a passage begins. */
interface Cut {
  readonly from: number
  readonly heading: string
}

/** A section that is longer is cut at a blank line. */
const longestSection = 45

function sectionCuts(lines: readonly string[]): Cut[] {
  const cuts: Cut[] = []
  const above: string[] = []
  let fenced = false
  lines.forEach((line, index) => {
    const from = index + 1
    if (/^\s*(?:```|~~~)/.test(line)) fenced = !fenced
    if (fenced) return
    const title = /^(#{1,6}) (.*)$/.exec(line)
    if (title) {
      const [, marks = '', words = ''] = title
      above.length = marks.length - 1
      above.push(words.trim())
      cuts.push({ from, heading: headingText(above) })
      return
    }
    const open = cuts.at(-1)
    if (!open) cuts.push({ from, heading: '' })
    else if (line === '' && from - open.from >= longestSection)
      cuts.push({ from: from + 1, heading: open.heading })
  })
  return cuts
}

/** `Tools › Hidden config`; the empty places of skipped levels left out. */
const headingText = (above: readonly (string | undefined)[]): string =>
  above
    .filter((part) => part)
    .map((part) => part?.replaceAll('`', ''))
    .join(' › ')

const declaration =
  /^(?:export )?(?:default )?(?:abstract )?(?:async )?(?:class|function\*?|interface|type|const|enum) (?:type )?(\w+)/
const member = /^ {2}(?:readonly |static |protected |async |abstract |get )*(#?\w+)\??[(:<]/

/** A declaration begins at its comment, a documented member of a class or an interface at its own. */
function declarationCuts(lines: readonly string[]): Cut[] {
  const cuts: { from: number; heading: string }[] = []
  let owner = ''
  let commentFrom: number | undefined
  lines.forEach((line, index) => {
    const from = index + 1
    if (/^(?: {2})?\/\*\*/.test(line)) commentFrom = from
    const declared = declaration.exec(line)
    const inside = declared ? null : member.exec(line)
    if (declared) {
      owner = declared[1] ?? ''
      cuts.push({ from: commentFrom ?? from, heading: owner })
    } else if (inside && commentFrom !== undefined) {
      cuts.push({ from: commentFrom, heading: `${owner}.${inside[1]}` })
    } else if (cuts.length === 0 && line.trim() !== '') {
      cuts.push({ from: 1, heading: '' })
    }
    if (line.trim() !== '' && !/^\s*(?:\/\*\*|\*)/.test(line)) commentFrom = undefined
  })
  return cuts
}
