import { type JsonObject, wellFormed } from '../json.ts'

/** Content as servers take it: they refuse empty texts, some of them also blanks. */
export function filled(text: string): string {
  return isBlank(text) ? '(empty)' : wellFormed(text)
}

export function isBlank(text: string | undefined): boolean {
  return text === undefined || text.trim() === ''
}

/** A tool's name as every server takes it; a model may have called a tool by one that they do not. */
export function wireName(name: string): string {
  const fit = name.slice(0, 64).replace(/[^\w-]/g, '_')
  return fit === '' ? 'unnamed' : fit
}

/** The id itself where the API takes it; otherwise one made from it, always the same, so that calls and answers still meet. */
export function wireId(id: string, longest: number): string {
  if (id.length <= longest && /^[\w-]+$/.test(id)) return id
  const hash = hashOf(id)
  const start = id.slice(0, Math.max(0, longest - hash.length - 1)).replace(/[^\w-]/g, '_')
  return start === '' ? hash.slice(0, longest) : `${start}_${hash}`
}

/** 64 bits of a text as 14 letters and digits: two FNV-1a hashes from different offsets. */
export function hashOf(text: string): string {
  let [one, two] = [0x811c9dc5, 0x9e3779b9]
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    one = Math.imul(one ^ unit, 0x01000193)
    two = Math.imul(two ^ unit, 0x01000193) + (one >>> 7)
  }
  return [one, two].map((half) => (half >>> 0).toString(36).padStart(7, '0')).join('')
}

/** JSON without the halves of characters that JSON.stringify escapes, and a server that parses it would have again. */
export function jsonText(value: JsonObject): string {
  const text = JSON.stringify(value)
  if (!/\\ud[89a-f]/.test(text)) return text
  // Escapes are read one by one: what follows an escaped backslash is none.
  return text.replace(/\\(?:ud[89a-f][\da-f]{2}|.)/g, (each) => (each.length === 6 ? '\ufffd' : each))
}
