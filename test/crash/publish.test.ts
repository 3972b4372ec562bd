/** `kill -9` while publishing: at every named place, and at any time. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { readRecord } from '../../protocol/record.ts'
import { systemClock } from '../../registry/clock.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import type { Registry } from '../../registry/registry.ts'
import { temporaryFolder } from '../helpers/folder.ts'

const CHILD = fileURLToPath(new URL('./publish-child.ts', import.meta.url))
const FAILPOINTS = [
  'blob.before-sync',
  'blob.before-rename',
  'blob.after-rename',
  'publish.after-file',
  'sign.before-ledger',
  'sign.before-row',
  'sign.after-row',
  'sign.after-ledger',
]
const RANDOM_KILLS = 16

interface Run {
  readonly acked: readonly Cid[]
  readonly errors: readonly string[]
  readonly signal: string | null
}

/** Everything that any run has shown of the log, by position. */
type Seen = Map<string, Cid>

describe('publishing, killed', () => {
  let folder: DataFolder
  let seen: Seen
  let version: number
  beforeEach(async () => {
    folder = dataFolder(path.join(temporaryFolder(), 'node'))
    await initialise(folder, { displayName: 'Crash' }, systemClock)
    seen = new Map()
    version = 0
  })

  /** @param killAfter milliseconds after the first acknowledgement */
  async function run(options: {
    count?: number
    env?: NodeJS.ProcessEnv
    killAfter?: number
    mode?: string
    command?: (node: string[]) => [string, string[]]
  }): Promise<Run> {
    const { count = 1000, env = {}, killAfter, mode = '', command } = options
    const node = [process.execPath, CHILD, folder.path, `${version}`, `${count}`, mode]
    const [file, args] = command?.(node) ?? [node[0] ?? '', node.slice(1)]
    const child = spawn(file, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const acked: Cid[] = []
    const errors: string[] = []
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => {
      const [word, value = ''] = line.split(' ')
      if (word === 'error') errors.push(value)
      if (word !== 'ack') return
      acked.push(value as Cid)
      if (acked.length === 1 && killAfter !== undefined) {
        setTimeout(() => child.kill('SIGKILL'), killAfter)
      }
    })
    const [[, signal]] = await Promise.all([once(child, 'exit'), once(lines, 'close')])
    // The one in the making may be there, too.
    version += acked.length + 1
    return { acked, errors, signal: signal as string | null }
  }

  async function withRegistry<T>(look: (registry: Registry) => Promise<T> | T): Promise<T> {
    const { registry, close } = await openRegistry(folder, systemClock)
    try {
      return await look(registry)
    } finally {
      await close()
    }
  }

  /** What is wrong with the store; nothing, if all promises were kept. */
  async function faults(acked: readonly Cid[]): Promise<string[]> {
    return withRegistry(async (registry) => {
      const found: string[] = []
      for (const id of acked) {
        if (registry.catalogue.record(id) === null) found.push(`acknowledged and lost: ${id}`)
      }
      const named = new Set<Cid>()
      for (const id of registry.catalogue.modelIds(registry.publisher)) {
        for (const file of registry.catalogue.model(id)?.files ?? []) {
          named.add(file.cid)
          const bytes = await size(registry, file.cid).catch((error) => String(error.code))
          if (bytes !== file.size) found.push(`${id} ${file.path}: ${bytes}`)
          if (registry.tree(file.cid) === null) found.push(`${id} ${file.path}: no tree`)
        }
      }
      for (const { cid } of registry.blobs.list()) {
        if (!named.has(cid)) found.push(`nobody names ${cid}`)
      }
      found.push(...logFaults(registry))
      for (const name of fs.readdirSync(folder.blobs)) {
        if (name.startsWith('.')) found.push(`left behind: ${name}`)
      }
      return found
    })
  }

  /** Each record follows the one before, and no position ever showed two records. */
  function logFaults(registry: Registry): string[] {
    const found: string[] = []
    const { key } = registry.signer.device('publish')
    let before: Cid | null = null
    const records = registry.catalogue.recordsAfter(registry.publisher, key, null, 100_000)
    for (const [n, { envelope }] of records.entries()) {
      const { id, record } = expectOk(readRecord(envelope))
      if (record.seq !== n || record.prev !== before) found.push(`a gap at ${n}`)
      const place = `${record.epoch}.${record.seq}`
      if ((seen.get(place) ?? id) !== id) found.push(`forked itself at ${place}`)
      seen.set(place, id)
      before = id
    }
    const signed = JSON.parse(fs.readFileSync(folder.lastSigned, 'utf8')).logs[key]
    if (signed?.id !== before) found.push('the ledger does not name the newest record')
    return found
  }

  async function size(registry: Registry, cid: Cid): Promise<number> {
    let bytes = 0
    for await (const chunk of await registry.blobs.open(cid)) bytes += chunk.length
    return bytes
  }

  for (const name of FAILPOINTS) {
    it(`keeps every promise at ${name}`, async () => {
      const acked: Cid[] = []
      for (const pass of [1, 5]) {
        const killed = await run({ env: { ZOARIUM_FAILPOINT: `${name}:${pass}` } })
        assert.equal(killed.signal, 'SIGKILL', 'the place was reached')
        acked.push(...killed.acked)
        assert.deepEqual(await faults(acked), [])
      }
      const whole = await run({ count: 1 })
      assert.deepEqual([whole.signal, whole.acked.length], [null, 1], 'and it goes on')
      assert.deepEqual(await faults([...acked, ...whole.acked]), [])
    })
  }

  it('keeps every promise at any time', async () => {
    const acked: Cid[] = []
    for (let n = 0; n < RANDOM_KILLS; n += 1) {
      const killed = await run({ killAfter: (n * 37) % 101 })
      assert.equal(killed.signal, 'SIGKILL')
      acked.push(...killed.acked)
      assert.deepEqual(await faults(acked), [])
    }
    console.log(`      ${RANDOM_KILLS} kills, ${acked.length} acknowledged, 0 lost`)
  })

  it('is a test that can fail: signing before the files are there is found out', async () => {
    await run({ mode: 'naive' })
    const found = await faults([])
    assert(found.some((each) => each.includes('weights.onnx: BLOB_MISSING')))
  })

  it('leaves nothing half-written on a full disk, and goes on when there is space', async () => {
    const limited = await run({
      // 512 KiB is less than the weights; the kernel answers EFBIG, which is told like ENOSPC.
      command: (node) => ['/bin/sh', ['-c', 'ulimit -f 1024 && exec "$0" "$@"', ...node]],
    })
    assert.deepEqual(limited.errors, ['DISK_FULL'])
    assert.deepEqual(limited.acked, [])
    assert.deepEqual(await faults([]), [])
    const whole = await run({ count: 2 })
    assert.equal(whole.acked.length, 2)
    assert.deepEqual(await faults(whole.acked), [])
  })
})
