/**
 * A cursor over a card's tree that collects findings: each reader names the field and its line and
 * returns a usable value all the same, so that one pass lists everything that is wrong.
 */
import type { CardNode } from './card-yaml.ts'
import type { Code, Issue } from './errors.ts'
import { MAX_ISSUES } from './limits.ts'

type Extra = Omit<Issue, 'code' | 'message' | 'field' | 'line'>

/** The findings of one card. */
export class Findings {
  readonly errors: Issue[] = []
  readonly warnings: Issue[] = []
  /** Unknown fields are warnings: the card is of a newer patch, or of a format that was open. */
  isLenient = false
}

interface TextRule {
  readonly min?: number
  /** Characters. */
  readonly max?: number
  readonly pattern?: RegExp
  /** What the pattern wants, for people. */
  readonly says?: string
}

interface NumberRule {
  readonly min?: number
  readonly max?: number
  /** The value must lie above `min`, not on it. */
  readonly isAbove?: boolean
  /** The value must lie below `max`, not on it. */
  readonly isBelow?: boolean
  readonly isInteger?: boolean
}

export class Field {
  /** As its author would name it, e.g. `inputs[0].axes[1].size`. */
  readonly path: string
  readonly line: number
  /** Null: not there, or null. */
  readonly node: CardNode | null
  readonly findings: Findings

  constructor(findings: Findings, path: string, node: CardNode | null, line: number) {
    this.findings = findings
    this.path = path
    this.line = line
    this.node = node === null || (node.kind === 'scalar' && node.value === null) ? null : node
  }

  get isGiven(): boolean {
    return this.node !== null
  }

  get isList(): boolean {
    return this.node?.kind === 'list'
  }

  get isMap(): boolean {
    return this.node?.kind === 'map'
  }

  get isNumber(): boolean {
    return this.node?.kind === 'scalar' && typeof this.node.value === 'number'
  }

  get isText(): boolean {
    return this.node?.kind === 'scalar' && typeof this.node.value === 'string'
  }

  error(message: string, extra: Extra = {}, code: Code = 'CARD_INVALID'): void {
    this.add(this.findings.errors, code, message, extra)
  }

  warn(message: string, extra: Extra = {}, code: Code = 'CARD_INVALID'): void {
    this.add(this.findings.warnings, code, message, extra)
  }

  private add(list: Issue[], code: Code, message: string, extra: Extra): void {
    if (list.length < MAX_ISSUES) {
      list.push({ ...extra, code, message, field: this.path, line: this.line })
    }
  }

  /** The value of a key; not given where this is no map. */
  at(key: string): Field {
    const node = this.node?.kind === 'map' ? (this.node.entries.get(key) ?? null) : null
    return this.child(this.path === '' ? key : `${this.path}.${key}`, node)
  }

  /** Whether the key is there, be it null. */
  has(key: string): boolean {
    return this.node?.kind === 'map' && this.node.entries.has(key)
  }

  keys(): readonly string[] {
    return this.node?.kind === 'map' ? [...this.node.entries.keys()] : []
  }

  /** The items of a list; none where it is not given. */
  items(): readonly Field[] {
    if (this.node === null) return []
    if (this.node.kind !== 'list') {
      this.error('must be a list', { got: this.got() })
      return []
    }
    return this.node.items.map((item, i) => this.child(`${this.path}[${i}]`, item))
  }

  /** Reports keys other than these, and anything but a map. @returns whether it is a map */
  closed(keys: readonly string[]): boolean {
    if (this.node === null) return false
    if (this.node.kind !== 'map') {
      this.error('must be a map of fields', { got: this.got() })
      return false
    }
    for (const key of this.node.entries.keys()) {
      if (keys.includes(key)) continue
      const field = this.at(key)
      if (this.findings.isLenient) field.warn('a field that is not read here')
      else field.error('a field that the format does not have')
    }
    return true
  }

  /** Reports where it is not given. @returns itself */
  required(): Field {
    if (this.node === null) this.error('is missing')
    return this
  }

  /** Text, or a number where an author left out the quotes; null where it is not given or wrong. */
  text(rule: TextRule = {}): string | null {
    if (this.node === null) return null
    if (this.node.kind !== 'scalar' || typeof this.node.value === 'boolean') {
      this.error('must be text', { got: this.got() })
      return null
    }
    const text = typeof this.node.value === 'string' ? this.node.value : this.node.source
    const { min = 0, max = Number.POSITIVE_INFINITY, pattern, says } = rule
    if (!text.isWellFormed()) {
      this.error('is not valid Unicode')
      return null
    }
    if (text.length < min) this.error('is too short', { limit: min, got: text.length })
    else if (text.length > max) this.error('is too long', { limit: max, got: text.length })
    else if (pattern !== undefined && !pattern.test(text)) {
      this.error(says ?? 'has characters that it may not have', { got: text.slice(0, 80) })
    }
    return text
  }

  number(rule: NumberRule = {}): number | null {
    if (this.node === null) return null
    const value = this.node.kind === 'scalar' ? this.node.value : null
    if (typeof value !== 'number' || (rule.isInteger && !Number.isSafeInteger(value))) {
      this.error(rule.isInteger ? 'must be a whole number' : 'must be a number', {
        got: this.got(),
      })
      return null
    }
    const { min, max } = rule
    if (Number.isNaN(value)) this.error('is not a number', { got: this.got() })
    else if (min !== undefined && (rule.isAbove ? value <= min : value < min)) {
      this.error('is too small', { limit: `${rule.isAbove ? '>' : '>='} ${min}`, got: value })
    } else if (max !== undefined && (rule.isBelow ? value >= max : value > max)) {
      this.error('is too large', { limit: `${rule.isBelow ? '<' : '<='} ${max}`, got: value })
    } else return value
    return null
  }

  integer(rule: Omit<NumberRule, 'isInteger'> = {}): number | null {
    return this.number({ ...rule, isInteger: true })
  }

  flag(fallback: boolean): boolean {
    if (this.node === null) return fallback
    if (this.node.kind === 'scalar' && typeof this.node.value === 'boolean') return this.node.value
    this.error('must be true or false', { got: this.got() })
    return fallback
  }

  oneOf<T extends string>(values: readonly T[]): T | null {
    const text = this.text()
    if (text === null) return null
    const value = values.find((candidate) => candidate === text)
    if (value === undefined) {
      this.error('has a value that the format does not have', {
        limit: values.join(', '),
        got: text.slice(0, 80),
      })
    }
    return value ?? null
  }

  /** A short form of what stands there, for messages. */
  got(): string {
    const { node } = this
    if (node === null) return 'nothing'
    if (node.kind === 'scalar') return node.source.slice(0, 80)
    return node.kind === 'list' ? `a list of ${node.items.length}` : `a map of ${node.entries.size}`
  }

  private child(path: string, node: CardNode | null): Field {
    return new Field(this.findings, path, node, node?.line ?? this.line)
  }
}
