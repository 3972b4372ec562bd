import assert from 'node:assert/strict'
import type { NodeProcess } from '../../cli/colony.ts'
import type { DoctorView } from '../../protocol/api.ts'
import { Colony, clientOf, eventually, meets, zoarium } from './colony.ts'

describe('e2e/reconnect', () => {
  const colony = new Colony()
  let a: NodeProcess
  let b: NodeProcess
  let c: NodeProcess

  before(async () => {
    a = await colony.node('Institute A')
    b = await colony.node('Institute B', [a])
    c = await colony.node('Institute C', [a])
    await meets(b, a)
    await meets(c, a)
    await meets(a, b)
    await meets(a, c)
  })
  after(() => colony.stop())

  const isConnected = (node: NodeProcess, other: NodeProcess) => async () =>
    (await clientOf(node).peers()).some(({ peer, connected }) => peer === other.peer && connected)

  it('meets other members by the word of one', async () => {
    for (const node of [a, b, c]) {
      for (const other of [a, b, c].filter((each) => each !== node)) {
        assert.equal((await zoarium(node, 'trust', 'add', other.publisher, 'list')).code, 0)
      }
    }
    await eventually(b, isConnected(b, c))
  })

  it('tells its operator that members reach it', async () => {
    const { stdout } = await zoarium(a, '--json', 'doctor')
    const { findings } = JSON.parse(stdout) as DoctorView
    const reach = findings.filter(({ check }) => check === 'reach')
    assert.deepEqual(
      reach.map(({ state }) => state),
      ['ok'],
      stdout,
    )
  })

  it('finds its federation after a restart without any address, though one has gone', async () => {
    await Promise.all([a.stop(), b.stop(), c.stop()])
    c = await colony.start(c.folder, [], ['--listen', c.addresses[0]?.replace(/\/p2p.*/, '') ?? ''])
    b = await colony.start(b.folder)
    await eventually(b, isConnected(b, c))
  })
})
