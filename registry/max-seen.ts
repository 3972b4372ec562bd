/**
 * The newest position that a head was ever seen to state of each log, kept outside the catalogue: one
 * that comes back from a backup must not make this node believe that an old log is whole. It is a
 * floor for what status tells, no more; a loss of the file costs that and nothing else.
 *
 * The file is a journal of lines `<publisher> <key> <epoch> <seq> <tip>`, rewritten when it has grown.
 */
import fs from 'node:fs'
import { type Cid, parseCid } from '../protocol/cid.ts'
import { comparePositions, type LogPosition } from '../protocol/record.ts'
import type { KeyId } from './catalogue.ts'
import { readText, storeError, writeDurably } from './durable-file.ts'

/** Where the journal lies; a test keeps it in memory. */
export interface Journal {
  /** The text, or null where there is none. @throws ZoariumError STORE */
  read(): string | null
  /** Adds text at the end; what a power cut takes is seen again. @throws ZoariumError STORE, DISK_FULL */
  append(text: string): void
  /** Puts another text in its place, durably. @throws ZoariumError STORE, DISK_FULL */
  replace(text: string): void
}

/** Lines beyond one a log after which the journal is rewritten. */
const MAX_SURPLUS_LINES = 10_000

export class MaxSeen {
  readonly #journal: Journal
  readonly #positions = new Map<string, LogPosition>()
  #surplus = 0

  /** @throws ZoariumError STORE */
  constructor(journal: Journal) {
    this.#journal = journal
    const text = journal.read() ?? ''
    // Damage is passed over, and with it a last line that a crash has cut off.
    for (const line of text.split('\n')) {
      const [publisher, key, epoch, seq, id = ''] = line.split(' ')
      const tip = parseCid(id)
      if (!tip.ok) continue
      const position = { epoch: Number(epoch), seq: Number(seq), tip: tip.value }
      const isWhole = Number.isSafeInteger(position.epoch) && Number.isSafeInteger(position.seq)
      if (isWhole) this.#raise(`${publisher} ${key}`, position)
    }
    if (text !== '' && !text.endsWith('\n')) this.#rewrite()
  }

  /** The newest position stated of a log; null: none. */
  of(publisher: Cid, key: KeyId): LogPosition | null {
    return this.#positions.get(`${publisher} ${key}`) ?? null
  }

  /** A head states a position. @throws ZoariumError STORE, DISK_FULL */
  note(publisher: Cid, key: KeyId, { epoch, seq, tip }: LogPosition): void {
    const log = `${publisher} ${key}`
    if (!this.#raise(log, { epoch, seq, tip })) return
    if (this.#surplus <= MAX_SURPLUS_LINES) {
      this.#journal.append(lineOf(log, { epoch, seq, tip }))
      return
    }
    this.#rewrite()
  }

  #rewrite(): void {
    this.#journal.replace([...this.#positions].map(([each, at]) => lineOf(each, at)).join(''))
    this.#surplus = 0
  }

  /** @returns whether it is a newer one */
  #raise(log: string, position: LogPosition): boolean {
    const before = this.#positions.get(log)
    if (before !== undefined) {
      this.#surplus++
      if (comparePositions(before, position) >= 0) return false
    }
    this.#positions.set(log, position)
    return true
  }
}

const lineOf = (log: string, { epoch, seq, tip }: LogPosition): string =>
  `${log} ${epoch} ${seq} ${tip}\n`

/** The journal as a file. */
export const fileJournal = (file: string): Journal => ({
  read: () => readText(file),
  append: (text) => {
    try {
      fs.appendFileSync(file, text, { mode: 0o600 })
    } catch (error) {
      throw storeError('note what was seen', error)
    }
  },
  replace: (text) => writeDurably(file, text),
})

/** A journal that is forgotten with the process. */
export function memoryJournal(text: string | null = null): Journal {
  let kept = text
  return {
    read: () => kept,
    append: (more) => {
      kept = (kept ?? '') + more
    },
    replace: (next) => {
      kept = next
    },
  }
}
