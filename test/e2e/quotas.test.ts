/** Limits that a real daemon meets, as its operator sees them. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type NodeProcess, projectPath } from '../../cli/colony.ts'
import { Colony, clientOf, eventually, meets, zoarium, zoariumJson } from './colony.ts'

const example = projectPath('docs', 'examples', 'nuclei-unet')

describe('e2e/quotas', () => {
  const colony = new Colony()
  let a: NodeProcess
  let b: NodeProcess

  before(async () => {
    a = await colony.node('Institute A')
    for (const name of ['first', 'second']) await zoariumJson(a, 'publish', example, '--name', name)
    b = await colony.node('Institute B', [a])
  })
  after(() => colony.stop())

  const restart = async (config: string) => {
    const { folder } = b
    await b.stop()
    await writeFile(join(folder, 'config.yaml'), config)
    b = await colony.start(folder, [a])
    await meets(b, a)
  }
  const kinds = async () => (await clientOf(b).node()).quotas.map(({ kind }) => kind)
  const models = async () => (await clientOf(b).search({})).total
  const metrics = async () => (await fetch(`${b.url}/metrics`)).text()

  it('leaves out what is over the records of a day, over restarts too', async () => {
    // The profile is one of them.
    await restart('quotas: { recordsPerDay: 2 }\n')
    await zoarium(b, 'trust', 'add', 'institute-a', 'list')
    await eventually(b, async () => (await models()) === 1)
    await zoarium(b, 'sync')
    assert.deepEqual(await kinds(), ['records'])
    const { stdout } = await zoarium(b, 'status')
    assert.match(stdout, /QUOTA: institute-a: 2 records a day since .*; left out until .*T00:00:00/)
    assert.match(await metrics(), /^zoarium_limits_met\{kind="records"\} 1$/m)
    // The day goes on over a restart; with a greater limit the rest comes.
    await restart('quotas: { recordsPerDay: 2 }\n')
    await zoarium(b, 'sync')
    assert.deepEqual([await kinds(), await models()], [['records'], 1])
    await restart('quotas: { recordsPerDay: 3 }\n')
    await eventually(b, async () => (await models()) === 2)
    assert.deepEqual(await kinds(), [])
  })

  it('fetches no more bytes of a publisher than it may have', async () => {
    await restart('quotas: { bytesPerPublisher: 1000 }\n')
    await zoarium(b, 'trust', 'add', 'institute-a', 'mirror')
    await zoarium(b, 'pull', 'institute-a/first')
    assert.deepEqual(await kinds(), ['bytes'])
    const pull = await zoarium(b, 'pull', 'institute-a/first')
    assert.equal(pull.code, 5)
    assert.match(pull.stderr, /QUOTA[\s\S]*quotas.bytesPerPublisher/)
    assert.equal((await clientOf(b).node()).blobs.count, 0)
  })

  it('takes nothing in where too little of the disk is free', async () => {
    await restart('quotas: { diskFreePercent: 100 }\n')
    const pull = await zoarium(b, 'pull', 'institute-a/first')
    assert.equal(pull.code, 1)
    assert.match(pull.stderr, /DISK_FULL/)
    const { stdout } = await zoarium(b, 'status')
    assert.match(stdout, /QUOTA: this node: less than .* of the disk free/)
    await restart('')
    await eventually(b, async () => (await clientOf(b).search({})).items.every(({ held }) => held))
  })
})
