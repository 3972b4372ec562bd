/**
 * A table of the catalogue in memory: rows by key, and by the groups that they are asked for in.
 * Rows are replaced, never changed, so that a copy of the map is a snapshot. All changes go through
 * the history, which can undo them.
 */

/** What was done in the transactions under way, so that it can be undone. */
export class History {
  readonly #onWrite: (grows: boolean) => void
  readonly #undo: (() => void)[] = []
  #depth = 0

  /** @param onWrite called before each write; where it throws, nothing is written */
  constructor(onWrite: (grows: boolean) => void) {
    this.#onWrite = onWrite
  }

  get inTransaction(): boolean {
    return this.#depth > 0
  }

  /** All or nothing; nested ones undo only themselves. */
  transaction<T>(work: () => T): T {
    const mark = this.#undo.length
    this.#depth++
    try {
      return work()
    } catch (error) {
      while (this.#undo.length > mark) this.#undo.pop()?.()
      throw error
    } finally {
      this.#depth--
      if (this.#depth === 0) this.#undo.length = 0
    }
  }

  /** @param grows whether a row is added */
  write(grows: boolean, undo: () => void): void {
    this.#onWrite(grows)
    if (this.inTransaction) this.#undo.push(undo)
  }
}

export class MemoryTable<K, V> {
  readonly #history: History
  readonly #groupsOf: ((row: V) => readonly string[]) | null
  readonly #groups = new Map<string, Map<K, V>>()
  #rows = new Map<K, V>()

  /** @param groupsOf by what else rows are asked for */
  constructor(
    history: History,
    rows: ReadonlyMap<K, V>,
    groupsOf: ((row: V) => readonly string[]) | null,
  ) {
    this.#history = history
    this.#groupsOf = groupsOf
    for (const [key, row] of rows) this.#put(key, row)
  }

  /** The rows as they are now. */
  copy(): Map<K, V> {
    return new Map(this.#rows)
  }

  get size(): number {
    return this.#rows.size
  }

  get(key: K): V | undefined {
    return this.#rows.get(key)
  }

  has(key: K): boolean {
    return this.#rows.has(key)
  }

  keys(): Iterable<K> {
    return this.#rows.keys()
  }

  /** In the order of their coming. */
  values(): readonly V[] {
    return [...this.#rows.values()]
  }

  /** The rows of a group, in any order. */
  of(group: string): readonly V[] {
    const rows = this.#groups.get(group)
    return rows === undefined ? [] : [...rows.values()]
  }

  /** The keys of a group, in any order. */
  keysOf(group: string): readonly K[] {
    const rows = this.#groups.get(group)
    return rows === undefined ? [] : [...rows.keys()]
  }

  hasGroup(group: string): boolean {
    return this.#groups.has(group)
  }

  set(key: K, row: V): void {
    const before = this.#rows.get(key)
    const undo = (): void => (before === undefined ? this.#remove(key) : this.#put(key, before))
    this.#history.write(before === undefined, undo)
    this.#put(key, row)
  }

  delete(key: K): boolean {
    const before = this.#rows.get(key)
    if (before === undefined) return false
    // Put back in its old place: the order of coming is told.
    const rows = this.#history.inTransaction ? this.copy() : this.#rows
    this.#history.write(false, () => {
      this.#put(key, before)
      this.#rows = rows
    })
    this.#remove(key)
    return true
  }

  #put(key: K, row: V): void {
    const before = this.#rows.get(key)
    if (before !== undefined) this.#leave(key, before)
    this.#rows.set(key, row)
    for (const name of this.#groupsOf?.(row) ?? []) {
      const group = this.#groups.get(name)
      if (group === undefined) this.#groups.set(name, new Map([[key, row]]))
      else group.set(key, row)
    }
  }

  #remove(key: K): void {
    const before = this.#rows.get(key)
    if (before === undefined) return
    this.#leave(key, before)
    this.#rows.delete(key)
  }

  #leave(key: K, row: V): void {
    for (const name of this.#groupsOf?.(row) ?? []) {
      const group = this.#groups.get(name)
      group?.delete(key)
      if (group?.size === 0) this.#groups.delete(name)
    }
  }
}
