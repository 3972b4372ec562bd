/** Many generations, some at a time: `npm run test:crash` and its tests. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import {
  type CrashDisk,
  type GenerationOptions,
  type GenerationResult,
  plainDisk,
  runGeneration,
} from './generation.ts'
import { createWorld } from './world.ts'

/** Kills of one data folder: what it has grown to is looked through after each. */
const KILLS_EACH = 25

/** A disk in memory: what a killed process has written is there on any disk, and here sooner. */
const MEMORY = '/dev/shm'

export interface CampaignOptions extends Pick<GenerationOptions, 'order' | 'env'> {
  readonly seed: string
  readonly kills: number
  /** Data folders at a time. */
  readonly workers?: number
  /** Default: a folder, which loses nothing that was written. */
  readonly disk?: (folder: string) => Promise<CrashDisk>
  /** Default: processes of node-child.ts. */
  readonly run?: (options: GenerationOptions) => Promise<GenerationResult>
  readonly onGeneration?: (kills: number) => void
  /** Also the generation of that number alone. */
  readonly only?: number
}

export async function runCampaign(options: CampaignOptions): Promise<GenerationResult> {
  const base = fs.mkdtempSync(path.join(fs.existsSync(MEMORY) ? MEMORY : os.tmpdir(), 'zoarium-'))
  const kills = new Map<string, number>()
  const acknowledged = new Map<string, number>()
  const faults: string[] = []
  let positions = 0
  try {
    const { seed, only, workers = os.availableParallelism(), onGeneration } = options
    const {
      run = runGeneration,
      order,
      env,
      disk = async (folder: string) => plainDisk(folder),
    } = options
    const world = await createWorld(base)
    const all = Math.ceil(options.kills / KILLS_EACH)
    const left = only === undefined ? Array.from({ length: all }, (_, n) => n + 1) : [only]
    const work = async (): Promise<void> => {
      for (let n = left.shift(); n !== undefined && faults.length === 0; n = left.shift()) {
        const result = await run({
          world,
          disk: await disk(path.join(base, `generation-${n}`)),
          seed: `${seed}/${n}`,
          kills: Math.min(KILLS_EACH, options.kills),
          cache: path.join(base, 'cache'),
          ...(order === undefined ? {} : { order }),
          ...(env === undefined ? {} : { env }),
        })
        add(kills, result.kills)
        add(acknowledged, result.acknowledged)
        positions += result.positions
        faults.push(...result.faults)
        onGeneration?.(sum(kills))
      }
    }
    await Promise.all(Array.from({ length: workers }, work))
  } finally {
    fs.rmSync(base, { recursive: true, force: true })
  }
  return { kills, acknowledged, positions, faults }
}

export const sum = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((all, each) => all + each, 0)

function add(to: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [name, count] of counts) to.set(name, (to.get(name) ?? 0) + count)
}
