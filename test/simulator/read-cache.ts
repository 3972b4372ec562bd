/**
 * Answers to the reads of one database, until something is written to a table that they came from.
 * Simulated nodes read the same rows again and again between two writes; this is for speed alone.
 */
import type Database from 'better-sqlite3'

/** What the catalogue calls of a statement. */
export type Statement = Pick<Database.Statement, 'run' | 'get' | 'all'>

/** Answers kept of one statement; beyond, all of them are forgotten. */
const MAX_ANSWERS = 500

/**
 * Tables of which every statement that names a publisher in its first value touches rows of that one
 * alone.
 */
const OF_PUBLISHERS: ReadonlySet<string> = new Set([
  'logs',
  'heads',
  'proofs',
  'identity_ops',
  'identity_rivals',
])

export class ReadCache {
  readonly #handle: Database.Database
  /** Writes so far: by table, by table and publisher, and those to a table that name no publisher. */
  readonly #writes = new Map<string, number>()
  /** Tables written in the transaction under way, which may yet be undone. */
  readonly #unsure = new Set<string>()

  constructor(handle: Database.Database) {
    this.#handle = handle
  }

  /** Something is about to be written to these tables. */
  written(tables: readonly string[], first: unknown): void {
    for (const table of tables) {
      this.#count(table)
      this.#count(typeof first === 'string' ? `${table} ${first}` : `${table} *`)
      this.#unsure.add(table)
    }
  }

  #count(name: string): void {
    this.#writes.set(name, (this.#writes.get(name) ?? 0) + 1)
  }

  /** Grows with each write that may change what a statement reads. */
  #stamp(tables: readonly string[], isOfPublishers: boolean, first: unknown): number {
    let sum = 0
    for (const table of tables) {
      if (isOfPublishers && typeof first === 'string') {
        sum += this.#writes.get(`${table} ${first}`) ?? 0
        sum += this.#writes.get(`${table} *`) ?? 0
      } else sum += this.#writes.get(table) ?? 0
    }
    return sum
  }

  /** A reading statement that remembers what it read. */
  watch(statement: Database.Statement): Statement {
    const tables = tablesOf(statement.source)
    const isOfPublishers = tables.every((table) => OF_PUBLISHERS.has(table))
    const remember = (read: (...values: unknown[]) => unknown) => {
      const answers = new Map<string, { readonly writes: number; readonly answer: unknown }>()
      return (...values: unknown[]): unknown => {
        const name = nameOf(values)
        if (name === null) return read(...values)
        const writes = this.#stamp(tables, isOfPublishers, values[0])
        const known = answers.get(name)
        if (known !== undefined && known.writes === writes) return known.answer
        const answer = read(...values)
        if (answers.size >= MAX_ANSWERS) answers.clear()
        if (!this.#isUnsure(tables)) answers.set(name, { writes, answer })
        return answer
      }
    }
    // SAFE: the same functions, remembered.
    return {
      run: statement.run.bind(statement),
      get: remember(statement.get.bind(statement)),
      all: remember(statement.all.bind(statement)),
    } as Statement
  }

  #isUnsure(tables: readonly string[]): boolean {
    if (!this.#handle.inTransaction) {
      this.#unsure.clear()
      return false
    }
    return tables.some((table) => this.#unsure.has(table))
  }
}

/** The tables that a statement names. */
export const tablesOf = (sql: string): readonly string[] => [
  ...new Set(
    [...sql.matchAll(/\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)/gi)].map((match) => match[1] ?? ''),
  ),
]

/** Values as text; null where they are not all short. */
function nameOf(values: readonly unknown[]): string | null {
  let name = ''
  for (const value of values) {
    if (typeof value === 'object' && value !== null) return null
    name += `${value}\n`
  }
  return name
}
