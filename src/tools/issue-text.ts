/** At most ten issues, each at most 300 characters: enough to act on, whatever was sent. */
export function limited(issues: readonly string[]): string[] {
  const shown = issues
    .slice(0, mostIssues)
    .map((issue) => (issue.length > 300 ? `${issue.slice(0, 299)}…` : issue))
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

const mostIssues = 10
