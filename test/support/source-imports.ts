import { posix } from 'node:path'
import ts from 'typescript'

/** Source files by path from the root, such as `src/agent/loop.ts`. */
export type Sources = ReadonlyMap<string, string>

/** One `import`, `export … from`, `import()` or `import type` of a file, also those the compiler erases. */
export interface SourceImport {
  from: string
  line: number
  /** As written. */
  specifier: string
  /** The file meant, from the root, for a relative specifier. */
  target?: string
  /** `import('…')` as a value: loaded on first use, if ever. */
  lazy: boolean
  reexport: boolean
}

/** Every import of every file, in order of file and line. */
export function importsOf(sources: Sources): SourceImport[] {
  return [...sources].flatMap(([path, text]) => importsOfFile(path, text))
}

function importsOfFile(from: string, text: string): SourceImport[] {
  const file = ts.createSourceFile(from, text, ts.ScriptTarget.Latest, true)
  const found: SourceImport[] = []
  const add = (node: ts.Node, specifier: string, kind: { lazy?: true; reexport?: true } = {}) => {
    found.push({
      from,
      line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
      specifier,
      ...(specifier.startsWith('.') && { target: posix.join(posix.dirname(from), specifier) }),
      lazy: kind.lazy ?? false,
      reexport: kind.reexport ?? false,
    })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node, node.moduleSpecifier.text)
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      add(node, node.moduleSpecifier.text, { reexport: true })
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal)) add(node, node.argument.literal.text)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [specifier] = node.arguments
      // A computed specifier names no file that could be checked, so it is shown as what it is.
      const name =
        specifier && ts.isStringLiteralLike(specifier) ? specifier.text : (specifier?.getText(file) ?? '')
      add(node, name, { lazy: true })
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}
