/**
 * Answers to the reads of one database, until something is written to a table that they came from.
 * Simulated nodes read the same rows again and again between two writes; this is for speed alone.
 */
import type Database from 'better-sqlite3'

/** What the catalogue calls of a statement. */
export type Statement = Pick<Database.Statement, 'run' | 'get' | 'all'>

/** Answers kept of one statement; beyond, all of them are forgotten. */
const MAX_ANSWERS = 500

export class ReadCache {
  readonly #handle: Database.Database
  /** Writes so far, by table. */
  readonly #writes = new Map<string, number>()
  /** Tables written in the transaction under way, which may yet be undone. */
  readonly #unsure = new Set<string>()

  constructor(handle: Database.Database) {
    this.#handle = handle
  }

  /** Something is about to be written to these tables. */
  written(tables: readonly string[]): void {
    for (const table of tables) {
      this.#writes.set(table, (this.#writes.get(table) ?? 0) + 1)
      this.#unsure.add(table)
    }
  }

  /** A reading statement that remembers what it read. */
  watch(statement: Database.Statement): Statement {
    const tables = tablesOf(statement.source)
    const remember = (read: (...values: unknown[]) => unknown) => {
      const answers = new Map<string, { readonly writes: number; readonly answer: unknown }>()
      return (...values: unknown[]): unknown => {
        const name = nameOf(values)
        if (name === null) return read(...values)
        const writes = tables.reduce((sum, table) => sum + (this.#writes.get(table) ?? 0), 0)
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
