/** Copies of models among real daemons: told, filled up, and let go in order. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NodeProcess } from '../../cli/colony.ts'
import type { ModelView, PinView } from '../../protocol/api.ts'
import { writeExamplePackage } from '../helpers/package.ts'
import { Colony, clientOf, eventually, meets, zoarium, zoariumJson } from './colony.ts'

/** Short turns and short words, so that the test sees what takes hours otherwise. */
const QUICK = 'turnSeconds: 6, wordSeconds: 10'
const NO_FLOOR = 'mirror: { otherwise: demand, floor: 0 }'

describe('e2e/placement', () => {
  const colony = new Colony()
  afterEach(() => colony.stop())

  /** A node that holds nothing but what is used or about to get lost. */
  const start = async (
    name: string,
    peers: readonly NodeProcess[],
    { maxBytes = 1e9, policy = 'mirror: { otherwise: demand, floor: 2 }' } = {},
  ): Promise<NodeProcess> => {
    const first = await colony.node(name)
    await first.stop()
    const { folder } = first
    await writeFile(join(folder, 'config.yaml'), `mirror: { ${QUICK}, maxBytes: ${maxBytes} }\n`)
    await writeFile(join(folder, 'trust.yaml'), `version: 1\nrules: []\n${policy}\n`)
    return colony.start(folder, peers)
  }

  /** All list and mirror each other. */
  const acquaint = async (...nodes: readonly NodeProcess[]): Promise<void> => {
    for (const node of nodes) {
      for (const other of nodes) {
        if (other === node) continue
        await meets(node, other)
        await zoariumJson(node, 'trust', 'add', other.publisher, 'mirror')
      }
    }
  }

  const publish = async (node: NodeProcess, name: string, bytes = 1000): Promise<string> => {
    const folder = await colony.folder()
    const readme = `# ${name}\n\n# Validation\n\n${'x'.repeat(bytes)}\n`
    await writeExamplePackage(folder, { name: `Model ${name}`, files: { 'README.md': readme } })
    const { record } = await zoariumJson<{ record: string }>(
      node,
      'publish',
      folder,
      '--name',
      name,
    )
    return record
  }

  const model = (node: NodeProcess, record: string) => zoariumJson<ModelView>(node, 'show', record)
  const find = async (node: NodeProcess, record: string) =>
    (await clientOf(node).search({})).items.find((each) => each.record === record)
  /** Waits until a node counts so many copies. */
  const counts = (node: NodeProcess, record: string, replicas: number) =>
    eventually(node, async () => (await find(node, record))?.replicas === replicas)

  it('reaches the floor, is told by all alike, and comes back to it when a node dies', async () => {
    const origin = await start('Origin', [])
    const others: NodeProcess[] = []
    for (const name of ['Institute B', 'Institute C', 'Institute D']) {
      others.push(await start(name, [origin, ...others]))
    }
    const all = [origin, ...others]
    await acquaint(...all)
    const record = await publish(origin, 'nuclei')
    await counts(origin, record, 1)
    await eventually(origin, async () => (await clientOf(origin).node()).atRisk.total === 1)
    const { stdout: risky } = await zoarium(origin, 'status')
    assert.match(risky, /AT RISK: origin\/nuclei@.* is held by 1 institution, and should be by 2/)
    const metrics = await (await fetch(`${origin.url}/metrics`)).text()
    assert.match(metrics, /^zoarium_models_at_risk 1$/m)

    for (const node of all) await counts(node, record, 2)
    const views = await Promise.all(all.map((node) => model(node, record)))
    const holders = views.map((view) => view.holders.map(({ id }) => id).sort())
    for (const each of holders) assert.deepEqual(each, holders[0])
    const filler = others.find(({ publisher }) => holders[0]?.includes(publisher as never))
    assert.ok(filler !== undefined)
    assert.equal((await find(filler, record))?.held, true)
    await eventually(origin, async () => (await clientOf(origin).node()).atRisk.total === 0)

    await filler.kill()
    const left = all.filter((node) => node !== filler)
    // Its word runs out, and another one takes its place.
    await counts(origin, record, 1)
    for (const node of left) await counts(node, record, 2)
    const heirs = []
    for (const node of left.slice(1)) if ((await find(node, record))?.held) heirs.push(node)
    assert.equal(heirs.length, 1)
  })

  it('lets go what was used longest ago, and neither what is own nor what is pinned', async () => {
    const size = 300_000
    const origin = await start('Origin', [], { policy: NO_FLOOR })
    const small = await start('Small', [origin], { policy: NO_FLOOR, maxBytes: 3.5 * size })
    await acquaint(origin, small)
    const own = await publish(small, 'own', size)
    const [pinned, first, second] = [
      await publish(origin, 'pinned', size),
      await publish(origin, 'first', size),
      await publish(origin, 'second', size),
    ]
    const held = async () => {
      const items = (await clientOf(small).search({})).items
      return items
        .filter((each) => each.held)
        .map(({ name }) => name)
        .sort()
    }
    await eventually(small, async () => (await clientOf(small).search({})).total === 4)
    assert.deepEqual(await held(), ['own'])

    const pins = await zoariumJson<{ items: PinView[] }>(small, 'pin', 'origin/pinned')
    assert.deepEqual(
      pins.items.map((each) => each.record),
      [pinned],
    )
    await eventually(small, async () => (await find(small, pinned))?.held)
    await zoariumJson(small, 'pull', first)
    assert.deepEqual(await held(), ['first', 'own', 'pinned'])
    await counts(origin, first, 2)
    await zoariumJson(small, 'pull', second)
    assert.deepEqual(await held(), ['own', 'pinned', 'second'])
    await counts(origin, first, 1)
    await counts(origin, second, 2)

    // What is too large for all that may go leaves everything as it is.
    const large = await publish(origin, 'large', 2 * size)
    await eventually(small, () => find(small, large))
    const refused = await zoarium(small, 'pull', large)
    assert.equal(refused.code, 5, refused.stderr)
    assert.match(refused.stderr, /QUOTA[\s\S]*mirror.maxBytes/)
    assert.deepEqual(await held(), ['own', 'pinned', 'second'])

    // What was pinned goes once it is not any more: it was used before the other one.
    const { code, stdout } = await zoarium(small, 'unpin', 'origin/pinned')
    assert.deepEqual([code, stdout.trim()], [0, 'nothing is pinned'])
    await zoariumJson(small, 'pull', first)
    assert.deepEqual(await held(), ['first', 'own', 'second'])
    assert.equal((await find(small, own))?.held, true)

    // The last copy stays: the only other node that has it is gone.
    await origin.stop()
    const last = await zoarium(small, 'pull', pinned)
    assert.notEqual(last.code, 0)
    assert.deepEqual(await held(), ['first', 'own', 'second'])
  })

  it('fetches on demand what is read, pulled or run, and never what a rule forbids', async () => {
    const policy = `mirror:
  otherwise: demand
  floor: 0
  rules:
    - { largest: 1, fetch: always }
    - { tags: [nothing-has-this], fetch: always }`
    const origin = await start('Origin', [], { policy: NO_FLOOR })
    const reader = await start('Reader', [origin], { policy })
    const [nuclei, cells] = [await publish(origin, 'nuclei'), await publish(origin, 'cells')]
    await acquaint(origin, reader)
    await eventually(reader, async () => (await clientOf(reader).search({})).total === 2)
    const path = `${reader.url}/v1/records/${nuclei}/files/README.md`
    const answer = await fetch(path)
    assert.equal(answer.status, 200, await answer.clone().text())
    assert.match(await answer.text(), /^# nuclei/)
    // That file, and no more.
    const files = (await model(reader, nuclei)).files.filter((file) => file.held)
    assert.deepEqual(
      files.map((file) => file.path),
      ['README.md'],
    )

    const file = join(reader.folder, 'trust.yaml')
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace('{ largest: 1, fetch: always }', '{ fetch: never }'))
    await eventually(reader, async () => (await model(reader, cells)).fetch === 'never')
    const refused = await zoarium(reader, 'pull', cells)
    assert.equal(refused.code, 5)
    assert.match(refused.stderr, /a mirror rule says that its files are never fetched/)
    const { code } = await zoarium(reader, 'pin', cells)
    assert.equal(code, 0)
    await eventually(reader, async () => (await find(reader, cells))?.held)

    await writeFile(file, text.replace('floor: 0', 'floor: 17'))
    const status = await eventually(reader, async () => {
      const { stdout } = await zoarium(reader, 'status')
      return stdout.includes('POLICY') && stdout
    })
    assert.match(status, /trust.yaml line \d+: mirror.floor must be a whole number from 0 to 16/)
  })
})
