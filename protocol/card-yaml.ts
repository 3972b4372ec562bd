/**
 * Reads the YAML of a card into a plain tree that remembers its lines. docs/protocol.md, "Cards".
 *
 * Cards come from strangers: aliases, anchors and tags are refused (they make small texts large
 * and plain values into objects), and size, tokens and depth are bounded while the text is read,
 * before a tree is built. YAML 1.2 core schema whatever the text declares; JSON is YAML too.
 */
import { Composer, CST, isCollection, isMap, isScalar, Lexer, LineCounter, Parser } from 'yaml'
import { accept, type Failure, type Issue, refuse, refuseAll, type Verdict } from './errors.ts'
import { MAX_CARD_BYTES, MAX_CARD_DEPTH, MAX_CARD_NODES, MAX_ISSUES } from './limits.ts'

/** Tokens for one node: its text, its indicator, spaces, a line end, a comment. */
const MAX_TOKENS = 5 * MAX_CARD_NODES

interface Placed {
  /** 1-based line where it begins. */
  readonly line: number
}
export type ScalarValue = string | number | boolean | null
export interface CardScalar extends Placed {
  readonly kind: 'scalar'
  readonly value: ScalarValue
  /** As written, e.g. `1.10` where the value is 1.1. */
  readonly source: string
}
export interface CardList extends Placed {
  readonly kind: 'list'
  readonly items: readonly CardNode[]
}
export interface CardMap extends Placed {
  readonly kind: 'map'
  readonly entries: ReadonlyMap<string, CardNode>
}
export type CardNode = CardScalar | CardList | CardMap

/** Fails with LIMIT, UTF8, YAML_ALIAS, DEPTH or YAML. */
export function readYaml(bytes: Uint8Array): Verdict<CardNode> {
  if (bytes.length > MAX_CARD_BYTES) {
    return refuse('LIMIT', 'the card is too large', { limit: MAX_CARD_BYTES, got: bytes.length })
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return refuse('UTF8', 'the card is not UTF-8 text')
  }
  const lines = new LineCounter()
  const tokens = tokenise(text, lines)
  if (!tokens.ok) return tokens
  return compose(tokens.value, lines)
}

/** Text to syntax tokens, within bounds. */
function tokenise(text: string, lines: LineCounter): Verdict<CST.Token[]> {
  lines.addNewLine(0)
  const parser = new Parser(lines.addNewLine)
  const tokens: CST.Token[] = []
  let count = 0
  let line = 1
  let isContent = false
  for (const lexeme of new Lexer().lex(text)) {
    // What follows a SCALAR mark is content, whatever it begins with.
    const type = isContent ? null : CST.tokenType(lexeme)
    isContent = lexeme === CST.SCALAR
    if (type === 'anchor' || type === 'alias') {
      return at(line, 'YAML_ALIAS', 'YAML anchors and aliases are not accepted', {
        got: lexeme.slice(0, 40),
        hint: 'write the value out wherever it is used',
      })
    }
    if (type === 'tag') {
      return at(line, 'YAML', 'YAML tags are not accepted', { got: lexeme.slice(0, 40) })
    }
    count += 1
    if (count > MAX_TOKENS) {
      return refuse('LIMIT', 'the card has too many parts', { limit: MAX_TOKENS })
    }
    for (const token of parser.next(lexeme)) tokens.push(token)
    // Each level of nesting is at most two entries: the collection and what it is building.
    if (parser.stack.length > 2 * MAX_CARD_DEPTH) return tooDeep(line)
    for (let i = lexeme.indexOf('\n'); i !== -1; i = lexeme.indexOf('\n', i + 1)) line += 1
  }
  for (const token of parser.end()) tokens.push(token)
  return accept(tokens)
}

function compose(tokens: readonly CST.Token[], lines: LineCounter): Verdict<CardNode> {
  // Unique keys are checked below: the library's own check is quadratic.
  const options = { schema: 'core', version: '1.2', uniqueKeys: false } as const
  const [document, second] = new Composer(options).compose(tokens)
  const lineOf = (offset: number): number => lines.linePos(offset).line
  if (document === undefined || document.contents === null) {
    return refuse('YAML', 'the card is empty')
  }
  if (second !== undefined) {
    return at(lineOf(second.range[0]), 'YAML', 'the card holds more than one YAML document')
  }
  const [fault, ...faults] = document.errors.slice(0, MAX_ISSUES).map(
    (error): Issue => ({
      code: 'YAML',
      message: `not valid YAML: ${error.message}`,
      line: lineOf(error.pos[0]),
    }),
  )
  if (fault !== undefined) return refuseAll([fault, ...faults])

  const issues: Issue[] = []

  let nodes = 0
  const convert = (node: unknown, path: string, depth: number, line: number): CardNode => {
    nodes += 1
    if (depth > MAX_CARD_DEPTH) throw new Stop(tooDeep(line))
    if (nodes > MAX_CARD_NODES) {
      throw new Stop(refuse('LIMIT', 'the card has too many values', { limit: MAX_CARD_NODES }))
    }
    if (!isCollection(node)) {
      if (!isScalar(node)) return { kind: 'scalar', value: null, source: '', line }
      const own = node.range ? lineOf(node.range[0]) : line
      // SAFE: the core schema makes text, numbers, booleans and null only.
      const value = node.value as ScalarValue
      return { kind: 'scalar', value, source: node.source ?? String(value), line: own }
    }
    const own = node.range ? lineOf(node.range[0]) : line
    if (!isMap(node)) {
      const items = node.items.map((item, i) => convert(item, `${path}[${i}]`, depth + 1, own))
      return { kind: 'list', items, line: own }
    }
    const entries = new Map<string, CardNode>()
    for (const { key, value } of node.items) {
      const name = isScalar(key) ? String(key.value) : null
      const keyLine = isScalar(key) && key.range ? lineOf(key.range[0]) : own
      if (name === null) {
        issues.push({
          code: 'YAML',
          message: 'a key is not plain text',
          field: path,
          line: keyLine,
        })
        continue
      }
      const field = path === '' ? name : `${path}.${name}`
      if (entries.has(name)) {
        issues.push({ code: 'YAML', message: `"${name}" is given twice`, field, line: keyLine })
        continue
      }
      entries.set(name, { ...convert(value, field, depth + 1, keyLine), line: keyLine })
    }
    return { kind: 'map', entries, line: own }
  }
  try {
    const root = convert(document.contents, '', 1, 1)
    const [first, ...rest] = issues.slice(0, MAX_ISSUES)
    return first === undefined ? accept(root) : refuseAll([first, ...rest])
  } catch (error) {
    if (error instanceof Stop) return error.failure
    throw error
  }
}

/** Leaves the recursion of `compose`; never leaves this file. */
class Stop extends Error {
  readonly failure: Failure
  constructor(failure: Failure) {
    super(failure.message)
    this.failure = failure
  }
}

const tooDeep = (line: number): Failure =>
  at(line, 'DEPTH', 'the card is nested too deep', { limit: MAX_CARD_DEPTH })

const at = (
  line: number,
  code: Issue['code'],
  message: string,
  detail: Partial<Issue> = {},
): Failure => refuseAll([{ ...detail, code, message, line }])
