import type { Scrubber } from '../scrubber.ts'

const mostIssues = 10

/** At most ten issues, each at most 300 characters: enough to act on, whatever was sent. */
export function limited(issues: readonly string[], scrubber: Scrubber): string[] {
  const shown = issues.slice(0, mostIssues).map((issue) => {
    // Scrubbed before it is cut: half a secret is not recognised any more.
    const text = scrubber.text(issue)
    return text.length > 300 ? `${text.slice(0, 299)}…` : text
  })
  return issues.length > mostIssues ? [...shown, `and ${issues.length - mostIssues} more`] : shown
}

/** `a.b[0]`, as JavaScript would write it. */
export function pathText(segments: readonly PropertyKey[]): string {
  return segments.reduce<string>((path, segment) => {
    const name = String(segment)
    if (/^\d+$/.test(name)) return `${path}[${name}]`
    return path === '' ? name : `${path}.${name}`
  }, '')
}
