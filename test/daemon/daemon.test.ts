import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createDaemon } from '../../daemon/daemon.ts'
import { initNode } from '../../daemon/init.ts'
import type { NodeView } from '../../protocol/api.ts'
import { temporaryFolder } from '../helpers/folder.ts'

describe('daemon/daemon', () => {
  const options = (folder: string) => ({
    folder,
    http: ['127.0.0.1:0'],
    listen: ['/ip4/127.0.0.1/tcp/0'],
    mdns: false,
    dht: false,
    logLevel: 'silent' as const,
  })

  it('starts whole, has its folder to itself, and lets go of it', async () => {
    const folder = temporaryFolder()
    const { publisher } = await initNode({ folder, name: 'Institute A' })
    for (let start = 0; start < 2; start++) {
      const daemon = await createDaemon(options(folder))
      try {
        assert.equal(daemon.publisher, publisher)
        assert.ok(daemon.addresses.some((address) => address.endsWith(daemon.peer)))
        const node = (await (await fetch(`${daemon.url}/v1/node`)).json()) as NodeView
        assert.deepEqual([node.publisher.label, node.peer], ['institute-a', daemon.peer])
        assert.equal((await fetch(`${daemon.url}/readyz`)).status, 200)
        assert.match(await (await fetch(`${daemon.url}/metrics`)).text(), /^zoarium_records 1$/m)
        await assert.rejects(createDaemon(options(folder)), { code: 'LOCKED' })
      } finally {
        await daemon.stop()
      }
    }
  })

  it('keeps nothing open where it cannot start', async () => {
    const folder = temporaryFolder()
    await assert.rejects(createDaemon(options(folder)), { code: 'NOT_INITIALISED' })
    await initNode({ folder, name: 'Institute A' })
    const exposed = { ...options(folder), http: ['0.0.0.0:0'] }
    await assert.rejects(createDaemon(exposed), { code: 'CONFIG' })
    writeFileSync(join(folder, 'config.yaml'), 'htp: {}\n')
    await assert.rejects(createDaemon(options(folder)), {
      code: 'CONFIG',
      data: {
        field: 'htp',
        limit: 'http, network, mirror, inference, web, keys, quotas, scrub, logLevel',
      },
    })
    writeFileSync(join(folder, 'config.yaml'), '')
    await (await createDaemon(options(folder))).stop()
  })
})
