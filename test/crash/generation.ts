/**
 * One data folder from its first kill to its last: processes work in it and are killed, one after
 * the other, and after each the oracle looks at what is left.
 */
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import type { Cid } from '../../protocol/cid.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { Random } from '../simulator/random.ts'
import type { Answer, Command } from './command.ts'
import { Journal } from './journal.ts'
import { drawKill, environmentOf, type Kill, nameOf } from './kill.ts'
import { faultsOf } from './oracle.ts'
import { KilledProcess } from './process.ts'
import type { World } from './world.ts'

/** Commands of a process that lives to do them all. */
const MAX_COMMANDS = 16
/** Commands that run beside each other. */
const MAX_AT_ONCE = 3

/** Where a generation lives: a disk that may lose more in a kill than the process. */
export interface CrashDisk {
  readonly path: string
  /** The process is dead; whoever looks now finds what the disk has. */
  cut(): Promise<void>
  /** Makes all durable that is here now. */
  settle(): Promise<void>
  remove(): Promise<void>
}

export const plainDisk = (folder: string): CrashDisk => {
  fs.mkdirSync(folder, { recursive: true })
  return {
    path: folder,
    cut: async () => {},
    settle: async () => {},
    remove: async () => fs.rmSync(folder, { recursive: true, force: true }),
  }
}

export interface GenerationOptions {
  readonly world: World
  readonly disk: CrashDisk
  readonly seed: string
  readonly kills: number
  readonly cache: string
  /** A wrong order of writing, for negative controls. */
  readonly order?: string
  readonly env?: NodeJS.ProcessEnv
}

export interface GenerationResult {
  /** Kills by where, of processes that died there. */
  readonly kills: ReadonlyMap<string, number>
  /** Commands that were acknowledged, by what they do. */
  readonly acknowledged: ReadonlyMap<string, number>
  /** Positions of own logs that were seen. */
  readonly positions: number
  /** What was wrong, with the kill before it; nothing, if all promises were kept. */
  readonly faults: readonly string[]
}

/** What commands must not run beside each other, lest nobody know what to expect. */
const SUBJECTS = {
  publish: 'own',
  withdraw: 'statement',
  tag: 'statement',
  attest: 'statement',
  admit: 'peer',
  fetch: 'files',
  stray: 'files',
  erase: 'files',
  restore: 'files',
  collect: 'files',
  gc: 'files',
  import: 'files',
  keys: 'keys',
  trust: 'trust',
  confirm: 'own',
} as const satisfies Record<Command['do'], string>

/** What nothing runs beside: before the first nobody may sign, during the second the clock is wrong. */
const ALONE: ReadonlySet<Command['do']> = new Set(['confirm', 'collect'])

const WEIGHTS = {
  publish: 8,
  withdraw: 2,
  tag: 2,
  attest: 2,
  admit: 6,
  fetch: 6,
  stray: 1,
  erase: 2,
  restore: 2,
  collect: 2,
  gc: 2,
  import: 1,
  keys: 1,
  trust: 1,
} as const

/** Which commands lead through the places of a name. */
const LEADING: Readonly<Record<string, Partial<Record<keyof typeof WEIGHTS, number>>>> = {
  head: { withdraw: 20 },
  share: { publish: 20, attest: 20 },
  admit: { admit: 40 },
  download: { fetch: 40, admit: 20 },
  import: { import: 60 },
  erase: { erase: 30, fetch: 20, admit: 10, restore: 10 },
  gc: { stray: 20, gc: 20 },
  keys: { keys: 60 },
}

/** What a node may rightly refuse, by what it was asked. */
const REFUSALS: Partial<Record<Command['do'], readonly string[]>> = {
  // The key is here already; it was renewed in this very millisecond.
  keys: ['USAGE', 'IDENTITY_INVALID'],
}

export async function runGeneration(options: GenerationOptions): Promise<GenerationResult> {
  return new Generation(options).run()
}

class Generation {
  readonly #options: GenerationOptions
  readonly #journal: Journal
  readonly #kills = new Map<string, number>()
  readonly #acknowledged = new Map<string, number>()
  readonly #faults: string[] = []
  readonly #folder
  #version = 0

  constructor(options: GenerationOptions) {
    this.#options = options
    this.#journal = new Journal(options.world)
    this.#folder = dataFolder(path.join(options.disk.path, 'node'))
  }

  async run(): Promise<GenerationResult> {
    const { world, disk, seed, kills } = this.#options
    const random = new Random(seed)
    try {
      fs.cpSync(world.template.path, this.#folder.path, { recursive: true })
      await disk.settle()
      for (let n = 1; n <= kills && this.#faults.length === 0; n += 1) {
        const life = random.fork(`life ${n}`)
        const kill = drawKill(life, n === 1)
        await this.#live(kill, life)
        await disk.cut()
        await this.#look(`kill ${n}, ${nameOf(kill)} ${JSON.stringify(kill)}`)
      }
      if (this.#faults.length === 0) {
        await this.#live(null, random.fork('end'))
        await this.#look('the end, in order')
      }
    } finally {
      await disk.remove()
    }
    return {
      kills: this.#kills,
      acknowledged: this.#acknowledged,
      positions: this.#journal.seen.size,
      faults: this.#faults,
    }
  }

  async #look(when: string): Promise<void> {
    const look = path.join(this.#options.disk.path, 'look')
    const found = await faultsOf(this.#folder, look, this.#journal).catch((error) => [
      `the folder can't be opened: ${error?.stack}`,
    ])
    this.#faults.push(...found.map((fault) => `${fault} (seed ${this.#options.seed}, ${when})`))
  }

  /** A process from its start to its death; with null, to its end. */
  async #live(kill: Kill | null, random: Random): Promise<void> {
    const { order, env, cache } = this.#options
    const given = new Map<number, Command>()
    let isReady = false
    let timer: NodeJS.Timeout | null = null
    const wake = new EventTarget()
    const child = new KilledProcess(this.#folder.path, {
      ...(order === undefined ? {} : { order }),
      env: { ...env, ...(kill === null ? {} : environmentOf(kill)) },
      cache,
      onAnswer: (answer) => {
        if ('ready' in answer) {
          isReady = true
          if (kill?.at === 'time') timer = setTimeout(() => child.kill(), kill.ms)
        } else this.#heard(answer, given)
        wake.dispatchEvent(new Event('heard'))
      },
    })
    let isOver = false
    const over = child.ended.then(() => {
      isOver = true
      wake.dispatchEvent(new Event('heard'))
    })
    const until = async (isSo: () => boolean): Promise<void> => {
      while (!isOver && !isSo()) await once(wake, 'heard')
    }
    await until(() => isReady)
    let n = 0
    for (const name of namesOf(kill, random)) {
      const subject = SUBJECTS[name]
      await until(
        () =>
          given.size < (ALONE.has(name) ? 1 : MAX_AT_ONCE) &&
          ![...given.values()].some((each) => SUBJECTS[each.do] === subject),
      )
      if (isOver) break
      const command = this.#command(name, n++, random)
      if (command === null) continue
      this.#journal.asked(command)
      given.set(command.n, command)
      child.give(command)
      if (ALONE.has(name)) await until(() => given.size === 0)
    }
    await until(() => given.size === 0)
    if (kill === null) child.finish()
    else if (!isOver && kill.at !== 'time') child.kill()
    await over
    if (timer !== null) clearTimeout(timer)
    this.#count(kill, await child.ended, child.isKilled)
  }

  #count(
    kill: Kill | null,
    { signal, code, stderr }: Awaited<KilledProcess['ended']>,
    isKilled: boolean,
  ) {
    const isRight = kill === null ? code === 0 : signal === 'SIGKILL'
    if (!isRight) this.#faults.push(`the process ended with ${signal ?? code}: ${stderr}`)
    if (kill === null) return
    const name = isKilled && kill.at !== 'time' ? 'when all was done' : nameOf(kill)
    this.#kills.set(name, (this.#kills.get(name) ?? 0) + 1)
  }

  #heard(answer: Exclude<Answer, { ready: true }>, given: Map<number, Command>): void {
    if ('sent' in answer) {
      this.#journal.left(answer.sent, answer.envelope)
      return
    }
    const n = 'ack' in answer ? answer.ack : answer.failed
    const command = given.get(n)
    if (command === undefined) throw new TypeError('an answer to a command')
    given.delete(n)
    if ('ack' in answer) {
      this.#journal.acked(command, answer.told)
      this.#acknowledged.set(command.do, (this.#acknowledged.get(command.do) ?? 0) + 1)
    } else if (!(REFUSALS[command.do] ?? []).includes(answer.code)) {
      this.#journal.faults.push(
        `${JSON.stringify(command)} was refused: ${answer.code} ${answer.message}`,
      )
    }
  }

  #command(name: Command['do'], n: number, random: Random): Command | null {
    const journal = this.#journal
    const { world, models, wanted, restorable, nextBatch } = journal
    const one = <T>(items: readonly T[]): T | null =>
      items.length === 0 ? null : random.pick(items)
    switch (name) {
      case 'confirm':
        return { n, do: name, records: [...journal.sent.values()] }
      case 'publish': {
        const bytes = random.pick([1000, 1000, LEAF_BYTES + 1000])
        return { n, do: name, version: this.#version++, bytes }
      }
      case 'withdraw':
      case 'tag':
      case 'attest': {
        const target = one(models)
        if (target === null) return null
        const how = { verb: random.pick(['yank', 'recall'] as const), tag: random.pick(['a', 'b']) }
        return { n, do: name, target, ...how }
      }
      case 'admit':
        if (nextBatch === undefined) return null
        return { n, do: name, records: nextBatch.records, head: nextBatch.head }
      case 'fetch': {
        const model = one(wanted)
        return model && { n, do: name, seed: model.seed, bytes: model.bytes }
      }
      case 'stray':
        return { n, do: name, seed: 1_000_000 + n, bytes: 1000 }
      case 'erase':
        return withRecord(name, n, one(wanted)?.record ?? null)
      case 'restore':
        return withRecord(name, n, one(restorable))
      case 'collect':
        return { n, do: name, hours: 73 }
      case 'gc':
        return { n, do: name }
      case 'keys':
        return { n, do: name, work: random.pick(['renew', 'rotate', 'erase'] as const) }
      case 'import':
        return { n, do: name, file: random.pick(world.cars).file }
      case 'trust':
        return {
          n,
          do: name,
          publisher: world.stranger,
          right: random.pick(['list', 'mirror', 'run'] as const),
        }
    }
  }
}

/** What a process is asked to do, one after the other. */
function* namesOf(kill: Kill | null, random: Random): Generator<Command['do']> {
  yield 'confirm'
  const leading = kill?.at === 'failpoint' ? (LEADING[kill.name.split('.')[0] ?? ''] ?? {}) : {}
  const weights = { ...WEIGHTS, ...leading }
  for (let n = 0; n < MAX_COMMANDS; n += 1) yield random.weighted(weights)
  yield 'collect'
  yield 'gc'
}

const withRecord = (name: 'erase' | 'restore', n: number, record: Cid | null): Command | null =>
  record && { n, do: name, record }
