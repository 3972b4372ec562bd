/** Reading a YAML map of the policy file field by field; what is wrong is collected, with its line. */
import { isMap, isScalar, isSeq, type LineCounter, type Node, type YAMLMap } from 'yaml'
import { type Issue, refuse, type Verdict } from '../protocol/errors.ts'

/** Longest value that a fault repeats, in characters. */
const MAX_SHOWN = 80

/** Collects what is wrong; a value that is wrong is read as null. */
export class FaultReader {
  readonly #lines: LineCounter
  readonly #issues: Issue[] = []

  constructor(lines: LineCounter) {
    this.#lines = lines
  }

  lineOf(node: Node | null | undefined): number | null {
    const start = node?.range?.[0]
    return start === undefined ? null : this.#lines.linePos(start).line
  }

  fault(field: string, line: number | null, rule: string, got: unknown): null {
    this.#issues.push({
      code: 'POLICY',
      message: `${field} ${rule}`,
      field,
      ...(line === null ? {} : { line }),
      ...(got === undefined || got === null ? {} : { got: String(got).slice(0, MAX_SHOWN) }),
    })
    return null
  }

  refusal(): Verdict<never> {
    const [first, ...more] = this.#issues
    const rest = more.length === 0 ? '' : ` (and ${more.length} more)`
    const line = first?.line === undefined ? '' : `line ${first.line}: `
    return refuse('POLICY', `the policy file is not valid: ${line}${first?.message}${rest}`, {
      ...(first?.field === undefined ? {} : { field: first.field }),
      ...(first?.got === undefined ? {} : { got: first.got }),
      issues: this.#issues,
    })
  }

  get isFaulty(): boolean {
    return this.#issues.length > 0
  }

  /** No two items have one key. */
  unique<T extends { readonly line: number | null }>(
    list: string,
    items: readonly T[],
    keyOf: (item: T) => string | null,
    field: string,
  ): void {
    const seen = new Set<string>()
    for (const [n, item] of items.entries()) {
      const key = keyOf(item)
      if (key === null) continue
      if (seen.has(key)) {
        this.fault(`${list}[${n}].${field}`, item.line, 'stands in an earlier entry too', key)
      }
      seen.add(key)
    }
  }
}

/** A map of the file. */
export class Fields {
  readonly #reader: FaultReader
  readonly #path: string
  readonly #map: YAMLMap

  constructor(reader: FaultReader, path: string, map: YAMLMap) {
    this.#reader = reader
    this.#path = path
    this.#map = map
  }

  get line(): number | null {
    return this.#reader.lineOf(this.#map)
  }

  #node(name: string): Node | null {
    const pair = this.#map.items.find(({ key }) => (isScalar(key) ? key.value : key) === name)
    // SAFE: a parsed document holds nodes.
    return (pair?.value as Node | null | undefined) ?? null
  }

  fault(name: string, rule: string, got: unknown): null {
    const line = this.#reader.lineOf(this.#node(name)) ?? this.line
    return this.#reader.fault(`${this.#path}${name}`, line, rule, got)
  }

  only(...known: readonly string[]): void {
    for (const { key } of this.#map.items) {
      const name = String(isScalar(key) ? key.value : key)
      if (known.includes(name)) continue
      // SAFE: as above.
      const line = this.#reader.lineOf(key as Node)
      this.#reader.fault(`${this.#path}${name}`, line, 'is not a known field', null)
    }
  }

  /** A plain value that passes, or null. `absent` stands for one that is not there. */
  value<T>(name: string, rule: string, passes: (value: unknown) => boolean, absent?: T): T | null {
    const node = this.#node(name)
    const value = isScalar(node) ? node.value : node
    if ((value === null || value === undefined) && absent !== undefined) return absent
    // SAFE: `passes` tells whether it is.
    return passes(value) ? (value as T) : this.fault(name, rule, shown(value))
  }

  /** A list of plain values as they pass, each once, or null. */
  list<T>(
    name: string,
    max: number,
    rule: string,
    read: (value: unknown) => T | null,
    absent?: readonly T[],
  ): readonly T[] | null {
    const node = this.#node(name)
    if (node === null && absent !== undefined) return absent
    if (!isSeq(node)) return this.fault(name, 'must be a list', shown(node))
    if (node.items.length > max) {
      return this.fault(name, `has more than ${max} entries`, node.items.length)
    }
    const values = node.items.map((item, n) => {
      const value = isScalar(item) ? item.value : item
      const path = `${this.#path}${name}[${n}]`
      // SAFE: as above.
      const line = this.#reader.lineOf(item as Node)
      return read(value) ?? this.#reader.fault(path, line, rule, shown(value))
    })
    if (new Set(values.filter((each) => each !== null)).size < values.length) {
      const isWrong = values.includes(null)
      return isWrong ? null : this.fault(name, 'names something twice', null)
    }
    // SAFE: none is null.
    return values as readonly T[]
  }

  /** The map of a field; null: there is none, or it is none. */
  map(name: string): Fields | null {
    const node = this.#node(name)
    if (node === null) return null
    if (isMap(node)) return new Fields(this.#reader, `${this.#path}${name}.`, node)
    return this.fault(name, 'must be a map', shown(node))
  }

  /** The maps of a list. */
  maps(name: string, isNeeded = false): readonly Fields[] {
    const node = this.#node(name)
    if (node === null && !isNeeded) return []
    if (!isSeq(node)) {
      this.fault(name, 'must be a list', shown(node))
      return []
    }
    return node.items.flatMap((item, n) => {
      const path = `${this.#path}${name}[${n}]`
      if (isMap(item)) return new Fields(this.#reader, `${path}.`, item)
      // SAFE: as above.
      this.#reader.fault(path, this.#reader.lineOf(item as Node), 'must be a map', shown(item))
      return []
    })
  }
}

const shown = (value: unknown): unknown => (isScalar(value) ? value.value : value)
