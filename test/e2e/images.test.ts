/** Images leave no trace: not on disk, not in the log, not in the metrics, of either node. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NodeProcess } from '../../cli/colony.ts'
import type { PublishView } from '../../protocol/api.ts'
import { npy, writeExamplePackage } from '../helpers/package.ts'
import { Colony, clientOf, eventually, zoarium, zoariumJson } from './colony.ts'

/** Bytes that are nowhere else, of a length that fits pixels of four bytes. */
const CANARY = 'CANARY-0123456789abcdef-YRANAC--'
const SIDE = 16

describe('e2e/images', () => {
  const colony = new Colony()
  let asked: NodeProcess
  let asking: NodeProcess
  let model: string
  const logs = new Map<NodeProcess, string>()

  /** A node that logs all that it can into a file. */
  async function node(name: string, peers: readonly NodeProcess[]): Promise<NodeProcess> {
    const folder = await colony.folder()
    const log = join(await colony.folder(), 'log')
    const { code } = await zoarium({ folder } as NodeProcess, 'init', '--name', name)
    assert.equal(code, 0)
    const within = ['/bin/sh', '-c', 'exec "$@" 2>"$0"', log]
    const started = await colony.start(folder, peers, ['--log-level', 'debug'], { within })
    logs.set(started, log)
    return started
  }

  before(async () => {
    asked = await node('Asked', [])
    asking = await node('Asking', [asked])
    const folder = await colony.folder()
    await writeExamplePackage(folder, { name: 'Mirror', size: SIDE })
    const published = await zoariumJson<PublishView>(asked, 'publish', folder)
    model = `/v1/records/${published.record}/infer`
    for (const [here, there, flags] of [
      [asked, asking, []],
      [asking, asked, ['--send']],
    ] as const) {
      const { code, stderr } = await zoarium(here, 'trust', 'add', there.publisher, 'run', ...flags)
      assert.equal(code, 0, stderr)
    }
    await eventually(asking, async () => (await clientOf(asking).search({ q: 'mirror' })).items[0])
    const pulled = await zoarium(asking, 'pull', published.ref, '-o', await colony.folder())
    assert.equal(pulled.code, 0, pulled.stderr)
  })
  after(() => colony.stop())

  const pixels = new Uint8Array(Buffer.from(CANARY.repeat((4 * SIDE * SIDE) / CANARY.length)))
  const image = new Uint8Array(npy('<f4', [SIDE, SIDE], new Float32Array(pixels.buffer)))

  async function send(to: NodeProcess, query: string, body: Uint8Array<ArrayBuffer>, type: string) {
    const headers = { 'Content-Type': type, Accept: 'application/x-npy' }
    const answer = await fetch(new URL(model + query, to.url), { method: 'POST', headers, body })
    return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()) }
  }

  async function* filesBelow(folder: string): AsyncGenerator<string> {
    for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
      if (entry.isFile()) yield join(entry.parentPath, entry.name)
    }
  }

  it('come back from here and from another node', async () => {
    for (const query of ['', `?on=${asked.peer}`]) {
      const { status, bytes } = await send(asking, query, image, 'application/x-npy')
      assert.equal(status, 200, bytes.toString())
      assert(bytes.includes(CANARY), 'the model gives back what it gets')
    }
  })

  it('are refused without being repeated, where something is wrong', async () => {
    const form = new FormData()
    form.append('raw', new Blob([image]), 'a.npy')
    form.append(CANARY, new Blob([pixels]), 'b.npy')
    const headers = { Accept: 'application/x-npy' }
    const answer = await fetch(new URL(model, asking.url), { method: 'POST', headers, body: form })
    assert.notEqual(answer.status, 200)
    for (const [body, type] of [
      [pixels, 'image/png'],
      [pixels, 'application/octet-stream'],
      [image.subarray(0, -3), 'application/x-npy'],
    ] as const) {
      const { status, bytes } = await send(asking, `?on=${asked.peer}`, body, type)
      assert.notEqual(status, 200)
      assert.equal(bytes.includes(CANARY), false, bytes.toString())
    }
  })

  it('are on no disk, in no log and in no metric', async () => {
    for (const [each, log] of logs) {
      const metrics = await fetch(new URL('/metrics', each.url)).then((answer) => answer.text())
      assert.match(metrics, /zoarium/)
      assert.equal(metrics.includes(CANARY), false)
      let files = 0
      const places = [log]
      for await (const file of filesBelow(each.folder)) places.push(file)
      for (const place of places) {
        const bytes = await readFile(place)
        files++
        assert.equal(bytes.includes(CANARY), false, place)
      }
      assert(files > 5, 'there is a folder to search')
      assert((await readFile(log)).length > 0, 'there is a log to search')
    }
  })
})
