/** Models that attack or break their runtime, published and run at a real daemon. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from '../../cli/client.ts'
import type { NodeProcess } from '../../cli/colony.ts'
import { prepareUpload } from '../../cli/package-upload.ts'
import type { ErrorBody, PublishView } from '../../protocol/api.ts'
import type { Cid } from '../../protocol/cid.ts'
import { fixturePath, needsFixtures } from '../helpers/fixtures.ts'
import { dividingModel, endlessModel } from '../helpers/hostile-models.ts'
import { npy, writeExamplePackage } from '../helpers/package.ts'
import { Colony, until, zoariumJson } from './colony.ts'
import { cpuTicks, modelFolders, modelProcesses, refused, unchanged } from './kept.ts'

/** What a network takes and gives. */
interface Shape {
  readonly type?: 'float32' | 'int32' | 'int64'
  /** Ids of its space axes; default one, `x`. */
  readonly shape?: readonly string[]
  /** Further files of the package. */
  readonly files?: Readonly<Record<string, Uint8Array>>
}

const SECRET = 'zoarium-secret-0123456789abcdef'

/** File -> what publishing it untested ends with, or what running it then does. */
const EXPECTED: Readonly<Record<string, { readonly publish: string } | { readonly run: string }>> =
  {
    // It takes no input, so no card fits it.
    'alloc_2GB.onnx': { run: 'MODEL_UNSUPPORTED' },
    'bomb_shape_overflow.onnx': { publish: 'MODEL_MEMORY' },
    'bomb_tile_12GB.onnx': { run: 'MODEL_MEMORY' },
    'custom_op.onnx': { publish: 'MODEL_UNSUPPORTED' },
    'empty.onnx': { publish: 'WEIGHTS_CONTENT' },
    'ext_abs.onnx': { publish: 'EXTERNAL_DATA' },
    'ext_dotdot.onnx': { publish: 'EXTERNAL_DATA' },
    'ext_etc.onnx': { publish: 'EXTERNAL_DATA' },
    'ext_hardlink.onnx': { publish: 'EXTERNAL_DATA' },
    'ext_huge_len.onnx': { publish: 'EXTERNAL_DATA' },
    'ext_memaddr.onnx': { publish: 'EXTERNAL_DATA' },
    'gather.onnx': { run: 'MODEL_FAILED' },
    'html.onnx': { publish: 'WEIGHTS_CONTENT' },
    'lfs.onnx': { publish: 'WEIGHTS_CONTENT' },
    'nan.onnx': { run: 'ran' },
    'ok.onnx': { run: 'ran' },
    'opset_9999.onnx': { publish: 'MODEL_UNSUPPORTED' },
    'ortm.onnx': { publish: 'WEIGHTS_CONTENT' },
    'raw_mismatch.onnx': { publish: 'MODEL_PARSE' },
    'steal_cwd_key.onnx': { publish: 'EXTERNAL_DATA' },
    'steal_proc.onnx': { publish: 'EXTERNAL_DATA' },
    'trunc.onnx': { publish: 'MODEL_PARSE' },
  }

describe('e2e/hostile-models', () => {
  const colony = new Colony()
  let node: NodeProcess

  before(async () => {
    node = await colony.node('Institute')
  })
  after(() => colony.stop())

  /** A package around a network of one axis. */
  async function packageOf(
    name: string,
    onnx: Uint8Array,
    { type = 'float32', shape = ['x'], files = {} }: Shape = {},
  ): Promise<string> {
    const folder = await colony.folder()
    const axis = (id: string, size: unknown) => ({ type: 'space', id, size })
    await writeExamplePackage(folder, {
      name,
      onnx,
      files,
      card: (card) => {
        card.inputs[0].axes = shape.map((id) => axis(id, { min: 1, step: 1 }))
        card.inputs[0].data = { type }
        card.outputs[0].axes = shape.map((id) => axis(id, { tensor_id: 'raw', axis_id: id }))
        card.outputs[0].data = { type }
        for (const each of [card.inputs[0], card.outputs[0]]) delete each.test_tensor.sha256
      },
    })
    return folder
  }

  async function publish(name: string, onnx: Uint8Array, shape?: Shape): Promise<Cid> {
    const folder = await packageOf(name, onnx, shape)
    const { record } = await zoariumJson<PublishView>(node, 'publish', folder, '--untested')
    assert.ok(record)
    return record
  }

  /** Runs a model. @returns `ran`, or the code of the error */
  async function run(record: Cid, body: Uint8Array, query = '', signal?: AbortSignal) {
    const url = new URL(`/v1/records/${record}/infer${query}`, node.url)
    const headers = { 'Content-Type': 'application/x-npy' }
    const init = { method: 'POST', headers, body, ...(signal && { signal }) }
    const answer = await fetch(url, init as RequestInit)
    const bytes = Buffer.from(await answer.arrayBuffer())
    assert.equal(bytes.includes(SECRET), false)
    return answer.ok ? 'ran' : (JSON.parse(bytes.toString()) as ErrorBody).error.code
  }

  const ones = (...shape: number[]): Uint8Array =>
    npy('<f4', shape, new Float32Array(shape.reduce((n, d) => n * d, 1)).fill(1))

  describe('each file of hostile-onnx', () => {
    needsFixtures()

    before(async () => {
      // What the models reach for, where they would find it if they could.
      const { folder } = node
      for (const place of [folder, join(folder, 'spool'), join(folder, 'spool', 'engine')]) {
        for (const name of ['secret.bin', 'node.key', 'hard.bin', 'w.bin']) {
          await writeFile(join(place, name), SECRET.repeat(10))
        }
      }
    })
    after(async () => {
      for (const name of ['secret.bin', 'node.key', 'hard.bin', 'w.bin']) {
        await rm(join(node.folder, 'spool', 'engine', name), { force: true })
      }
    })

    it('is known here', async () => {
      const names = await readdir(fixturePath('hostile-onnx'))
      assert.deepEqual(names.sort(), Object.keys(EXPECTED).sort())
    })

    for (const [name, expected] of Object.entries(EXPECTED)) {
      const [step, code] = Object.entries(expected)[0] as [string, string]
      it(`${name}: ${step} ends with ${code}`, async () => {
        const onnx = await readFile(fixturePath('hostile-onnx', name))
        const title = name.replace('.', ' ')
        const type = name === 'gather.onnx' ? 'int64' : 'float32'
        if (step === 'publish') {
          const folder = await packageOf(title, onnx, { type })
          const error = await unchanged(node, () => refused(node, 'publish', folder, '--untested'))
          assert.equal(error.code, code, error.stderr)
          assert.match(error.stderr, /weights\.onnx/)
        } else {
          const record = await publish(title, onnx, { type })
          // An index far outside of the table; otherwise a number.
          const far = npy('<i8', [1], BigInt64Array.of(2n ** 40n))
          const ended = await unchanged(node, () => run(record, type === 'int64' ? far : ones(1)))
          assert.equal(ended, code)
        }
      })
    }
  })

  describe('a model that crashes', () => {
    const smallest = npy('<i4', [1], Int32Array.of(-(2 ** 31)))

    it('is not published where its own test kills it', async () => {
      const files = { 'test_input.npy': smallest, 'test_output.npy': smallest }
      const folder = await packageOf('Crashing', dividingModel(), { type: 'int32', files })
      const error = await unchanged(node, () => refused(node, 'publish', folder))
      assert.equal(error.code, 'MODEL_CRASH', error.stderr)
    })

    it('crashes alone, and is set aside after three times', async () => {
      const record = await publish('Dividing', dividingModel(), { type: 'int32' })
      const fine = npy('<i4', [1], Int32Array.of(6))
      const folder = await colony.folder()
      await writeExamplePackage(folder, { name: 'Good model' })
      const good = await zoariumJson<PublishView>(node, 'publish', folder)
      const other = good.record ?? assert.fail()
      await unchanged(node, async () => {
        for (let n = 0; n < 3; n++) {
          assert.equal(await run(record, fine), 'ran')
          const [crashed, ran] = await Promise.all([
            run(record, smallest),
            run(other, ones(1, 1, 8, 8)),
          ])
          assert.equal(crashed, 'MODEL_CRASH')
          assert.equal(ran, 'ran')
        }
        assert.equal(await run(record, fine), 'MODEL_QUARANTINED')
        assert.equal(await run(other, ones(1, 1, 8, 8)), 'ran')
      })
    })
  })

  describe('a model that hangs', () => {
    const PLANE: Shape = { shape: ['y', 'x'] }
    let record: Cid
    let folder: string
    before(async () => {
      record = await publish('Endless', endlessModel(), PLANE)
      folder = await packageOf('Endless with a test', endlessModel(), {
        ...PLANE,
        files: { 'test_input.npy': ones(2, 2), 'test_output.npy': ones(2, 2) },
      })
    })

    /** Its process turns in the loop: it has worked for longer than opening a model takes. */
    const hangs = () =>
      until(async () => {
        const [pid] = await modelProcesses(node)
        return pid !== undefined && (await cpuTicks(pid)) > 60
      })
    const isIdle = () =>
      until(
        async () => (await modelProcesses(node)).length + (await modelFolders(node)).length === 0,
      )

    beforeEach(async () => {
      // Sessions of earlier tests would hide what is left of this one.
      await node.stop()
      node = await colony.start(node.folder)
    })
    // Neither a process nor a folder is left.
    afterEach(isIdle)

    it('ends at the deadline that the client set, and the node answers meanwhile', async () => {
      const hanging = unchanged(node, () => run(record, ones(2, 2), '?deadlineMs=3000'))
      await hangs()
      assert.equal((await modelProcesses(node)).length, 1)
      assert.ok((await fetch(new URL('/healthz', node.url))).ok)
      assert.equal(await hanging, 'TIMEOUT')
    })

    it('ends when the client goes away', async () => {
      const gone = new AbortController()
      const running = run(record, ones(2, 2), '', gone.signal)
      await hangs()
      gone.abort()
      await assert.rejects(running, { name: 'AbortError' })
    })

    it('ends with the publication that tests it, and nothing is kept', async () => {
      const gone = new AbortController()
      await unchanged(node, async () => {
        const { body, size } = await prepareUpload(folder, null)
        const client = new Client({
          url: new URL(node.url),
          token: (await readFile(join(node.folder, 'token'), 'utf8')).trim(),
          signal: gone.signal,
        })
        const publishing = client.publish({ body, size, query: {} })
        await Promise.race([publishing, hangs()])
        gone.abort()
        await assert.rejects(publishing, { code: 'CANCELLED' })
        await isIdle()
      })
    })

    it('ends with the daemon, however that ends', async () => {
      for (const end of ['stop', 'kill'] as const) {
        const running = run(record, ones(2, 2))
        running.catch(() => {})
        await hangs()
        const [pid] = await modelProcesses(node)
        await node[end]()
        await until(async () => !existsSync(`/proc/${pid}`))
        await running.catch(() => {})
        node = await colony.start(node.folder)
        assert.deepEqual(await modelFolders(node), [])
      }
    })
  })
})
