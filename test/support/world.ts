import ts from 'typescript'
import type { Sources } from './source-imports.ts'

/** A place where a file reaches for the clock, randomness, timers, the network, the console or the process. */
export interface WorldUse {
  path: string
  line: number
  /** What is touched, such as `setTimeout`, `Date.now` or `new Date()`. */
  name: string
}

const globals = new Set([
  'console',
  'process',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'crypto',
  'performance',
  'fetch',
  'Buffer',
])
const members = new Map([
  ['Date', new Set(['now'])],
  ['Math', new Set(['random'])],
  ['AbortSignal', new Set(['timeout'])],
])
const globalObjects = new Set(['globalThis', 'self', 'window', 'global'])

/**
 * Every use of a global that reaches the world, by name, scopes considered: a parameter called `fetch` is none.
 * Types, comments and strings do not count; `globalThis.fetch` and `const { fetch } = globalThis` do.
 */
export function worldUses(sources: Sources): WorldUse[] {
  const program = programOf(sources)
  const checker = program.getTypeChecker()
  return [...sources.keys()].flatMap((path) => {
    const file = program.getSourceFile(path)
    if (!file) throw new Error(`${path} was not parsed`)
    const found: WorldUse[] = []
    const add = (node: ts.Node, name: string) =>
      found.push({ path, line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1, name })
    const visit = (node: ts.Node): void => {
      if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return
      const name = worldName(node, checker)
      if (name !== undefined) add(node, name)
      else ts.forEachChild(node, visit)
    }
    visit(file)
    return found
  })
}

function worldName(node: ts.Node, checker: ts.TypeChecker): string | undefined {
  if (ts.isPropertyAccessExpression(node)) return memberName(node.expression, node.name.text, checker)
  if (ts.isElementAccessExpression(node) && ts.isStringLiteralLike(node.argumentExpression)) {
    return memberName(node.expression, node.argumentExpression.text, checker)
  }
  if (ts.isBindingElement(node)) {
    const key = node.propertyName ?? node.name
    const declaration = node.parent.parent
    if (!ts.isVariableDeclaration(declaration) || !declaration.initializer || !ts.isIdentifier(key))
      return undefined
    return memberName(declaration.initializer, key.text, checker)
  }
  if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && isGlobal(node.expression, 'Date', checker)) {
    if (ts.isCallExpression(node)) return 'Date()'
    return node.arguments?.length ? undefined : 'new Date()'
  }
  if (ts.isIdentifier(node) && globals.has(node.text) && isGlobal(node, node.text, checker)) return node.text
  return undefined
}

/** The name of `object.name` when that is a part of the world. */
function memberName(object: ts.Expression, name: string, checker: ts.TypeChecker): string | undefined {
  const owner = bare(object)
  if (!ts.isIdentifier(owner)) return undefined
  if (members.get(owner.text)?.has(name) && isGlobal(owner, owner.text, checker))
    return `${owner.text}.${name}`
  if (globals.has(name) && globalObjects.has(owner.text) && isGlobal(owner, owner.text, checker)) return name
  return undefined
}

/** The expression inside parentheses, casts and `!`. */
function bare(expression: ts.Expression): ts.Expression {
  return ts.isParenthesizedExpression(expression) ||
    ts.isAsExpression(expression) ||
    ts.isSatisfiesExpression(expression) ||
    ts.isNonNullExpression(expression)
    ? bare(expression.expression)
    : expression
}

function isGlobal(node: ts.Node, name: string, checker: ts.TypeChecker): boolean {
  if (!ts.isIdentifier(node) || node.text !== name) return false
  const symbol = ts.isShorthandPropertyAssignment(node.parent)
    ? checker.getShorthandAssignmentValueSymbol(node.parent)
    : checker.getSymbolAtLocation(node)
  // Without a library nothing declares a global, so what resolves was declared in the file.
  return symbol === undefined || !symbol.declarations?.length
}

function programOf(sources: Sources): ts.Program {
  const options: ts.CompilerOptions = {
    noLib: true,
    noResolve: true,
    allowImportingTsExtensions: true,
    noEmit: true,
  }
  const host: ts.CompilerHost = {
    getSourceFile: (path, languageVersion) => {
      const text = sources.get(path)
      return text === undefined ? undefined : ts.createSourceFile(path, text, languageVersion, true)
    },
    getDefaultLibFileName: () => 'lib.d.ts',
    writeFile: () => {},
    getCurrentDirectory: () => '',
    getCanonicalFileName: (path) => path,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => '\n',
    fileExists: (path) => sources.has(path),
    readFile: (path) => sources.get(path),
  }
  return ts.createProgram({ rootNames: [...sources.keys()], options, host })
}
