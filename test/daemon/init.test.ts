import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readConfig } from '../../daemon/config.ts'
import { initNode } from '../../daemon/init.ts'
import type { NetworkProfile } from '../../daemon/network-profile.ts'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import { temporaryFolder } from '../helpers/folder.ts'

describe('daemon/init', () => {
  it('makes a node whose publisher says its name, for the owner only', async () => {
    const folder = join(temporaryFolder(), 'new', 'node')
    const made = await initNode({ folder, name: 'Institute A' })
    assert.deepEqual([made.label, made.folder], ['institute-a', folder])
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    const opened = await openRegistry(dataFolder(folder), systemClock)
    const { registry } = opened
    assert.equal(registry.publisher, made.publisher)
    const profile = registry.profile(made.publisher)
    assert.deepEqual([profile?.label, profile?.displayName], ['institute-a', 'Institute A'])
    await opened.close()
  })

  it('takes another label', async () => {
    const made = await initNode({ folder: temporaryFolder(), name: 'Institute A', label: 'a-lab' })
    assert.equal(made.label, 'a-lab')
  })

  it('claims a handle, where it is a domain name in lower case', async () => {
    const folder = temporaryFolder()
    for (const handle of ['Embl.example', 'embl', 'https://embl.example', '']) {
      await assert.rejects(initNode({ folder, name: 'EMBL', handle }), { code: 'NAME' }, handle)
    }
    const { publisher } = await initNode({ folder, name: 'EMBL', handle: 'embl.example' })
    const opened = await openRegistry(dataFolder(folder), systemClock)
    assert.equal(opened.registry.profile(publisher)?.handle, 'embl.example')
    await opened.close()
  })

  it('writes the configuration of a place, which says the same as it reads', async () => {
    const network = async (profile: NetworkProfile) => {
      const folder = temporaryFolder()
      await initNode({ folder, name: 'Institute A', profile })
      return readConfig(dataFolder(folder).config, { folder }).network
    }
    const rest = { peers: [], announce: [] }
    const shut = { listen: [], dialPorts: [443], mdns: false, dht: false }
    assert.deepEqual(await network('campus'), { ...rest, ...shut })
    const lan = { listen: ['/ip4/0.0.0.0/tcp/7071'], dialPorts: [], mdns: true, dht: false }
    assert.deepEqual(await network('lan'), { ...rest, ...lan })
    const open = { listen: [...lan.listen, '/ip6/::/tcp/7071'], dialPorts: [] }
    assert.deepEqual(await network('public'), { ...rest, ...open, mdns: false, dht: true })
  })

  it('writes over no configuration, and makes nothing then', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'config.yaml'), 'logLevel: warn\n')
    const node = { folder, name: 'Institute A' }
    await assert.rejects(initNode({ ...node, profile: 'lan' }), { code: 'USAGE' })
    await initNode(node)
  })

  it('makes no second node in a folder', async () => {
    const folder = temporaryFolder()
    const { publisher } = await initNode({ folder, name: 'Institute A' })
    await assert.rejects(initNode({ folder, name: 'Institute B' }), {
      code: 'USAGE',
      data: {
        got: publisher,
        hint: 'set ZOARIUM_DIR to make another one in a folder of its own',
      },
    })
  })

  it('refuses a label that no reference could hold', async () => {
    const folder = temporaryFolder()
    await assert.rejects(initNode({ folder, name: 'Institute A', label: 'Not A Label' }), {
      code: 'NAME',
    })
    assert.equal((await initNode({ folder, name: 'Institute A' })).label, 'institute-a')
  })
})
