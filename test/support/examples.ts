import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { runNode } from './child.ts'
import { root } from './repository.ts'

const longest = 50

/** What is wrong with an example: its length, a missing assertion, or how it ran with no key and no network. */
export async function exampleProblems(path: string): Promise<string[]> {
  const text = readFileSync(path, 'utf8')
  const lines = text.trimEnd().split('\n').length
  const { code, stdout, stderr } = await runNode([path], { cwd: root })
  return [
    ...(lines > longest ? [`is ${lines} lines long, more than ${longest}`] : []),
    ...(asserts(text) ? [] : ['has no assertion']),
    ...(code === 0 ? [] : [`exit code ${code}: ${stderr || stdout}`]),
    ...(code === 0 && stderr !== '' ? [`prints to stderr: ${stderr}`] : []),
  ]
}

/** True when the program calls `assert` or one of its members; a word in a text or a comment is no call. */
function asserts(text: string): boolean {
  const visit = (node: ts.Node): boolean =>
    (ts.isCallExpression(node) && /^assert\b/.test(node.expression.getText())) ||
    (ts.forEachChild(node, visit) ?? false)
  return visit(ts.createSourceFile('example.ts', text, ts.ScriptTarget.Latest, true))
}
