/**
 * Where units of a text begin, but for the first one, in UTF-16 code units. What stands between two units, such as blank
 * lines, belongs to the one before; what stands before the first belongs to it.
 */
export type UnitStarts = (text: string) => number[]

/** Sections: each begins with a Markdown heading (`#`), outside of fenced code. */
export const sectionStarts: UnitStarts = (text) => {
  const starts: number[] = []
  let isFirst = true
  for (const { start, kind } of linesOf(text)) {
    if (kind === 'heading' && !isFirst) starts.push(start)
    if (kind !== 'blank') isFirst = false
  }
  return starts
}

/** Paragraphs: what blank lines part. A heading belongs to the paragraph below it, and fenced code is a part of one. */
export const paragraphStarts: UnitStarts = (text) => {
  const starts: number[] = []
  let before: Line['kind'] | undefined
  let isAfterBlank = false
  for (const { start, kind } of linesOf(text)) {
    if (kind === 'blank') {
      isAfterBlank = true
      continue
    }
    const isStart = kind === 'heading' || (kind === 'text' && isAfterBlank)
    if (isStart && before !== undefined && before !== 'heading') starts.push(start)
    before = kind
    isAfterBlank = false
  }
  return starts
}

/** Sentences, by their full stops and the like; abbreviations are not known. */
export const sentenceStarts: UnitStarts = (text) => startsAfter(text, sentenceEnd)

export const lineStarts: UnitStarts = (text) => startsAfter(text, /[\r\n]+/g)

/** Words are what blanks part: in some scripts, a whole sentence. */
export const wordStarts: UnitStarts = (text) => startsAfter(text, /\s+/g)

// Blanks after a full stop and what closes with it. In scripts that put no blanks between sentences, the place after it.
// Escaped: one character beyond Latin-1 in a file, and V8 keeps two bytes for each of its characters.
const sentenceEnd =
  /(?<=[.!?\u2026\u3002\uff01\uff1f]["'\u201d\u2019)\]\u300d\u300f\uff09]{0,2})\s+|(?<=[\u3002\uff01\uff1f]["'\u201d\u2019\u300d\u300f\uff09]{0,2})(?![\u3002\uff01\uff1f"'\u201d\u2019\u300d\u300f\uff09\s])/g

function startsAfter(text: string, end: RegExp): number[] {
  const starts: number[] = []
  for (const { 0: found, index } of text.matchAll(end)) {
    const start = index + found.length
    if (start > 0 && start < text.length) starts.push(start)
  }
  return starts
}

interface Line {
  readonly start: number
  readonly kind: 'blank' | 'heading' | 'text' | 'code'
}

function* linesOf(text: string): Generator<Line, void, undefined> {
  let fence: string | undefined
  for (let start = 0, end = 0; start < text.length; start = end) {
    end = endOfLine(text, start)
    const given = text.slice(start, end)
    const line = given.trim()
    // By the first sign, because most lines are neither.
    const marker = line[0] === '`' || line[0] === '~' ? /^(`{3,}|~{3,})/.exec(line)?.[1] : undefined
    if (fence !== undefined) {
      yield { start, kind: 'code' }
      if (marker === line && line.startsWith(fence)) fence = undefined
    } else if (line === '') {
      yield { start, kind: 'blank' }
    } else {
      fence = marker
      yield { start, kind: line[0] === '#' && /^ {0,3}#{1,6}(?:\s|$)/.test(given) ? 'heading' : 'text' }
    }
  }
}

function endOfLine(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const sign = text[at]
    if (sign === '\n') return at + 1
    if (sign === '\r') return text[at + 1] === '\n' ? at + 2 : at + 1
  }
  return text.length
}
