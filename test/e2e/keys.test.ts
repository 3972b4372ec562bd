/** The own keys of real daemons: forks that are healed, keys that run out. */
import assert from 'node:assert/strict'
import { cp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { environmentOf, type NodeProcess, projectPath, runCommand } from '../../cli/colony.ts'
import type { KeysView, NodeView } from '../../protocol/api.ts'
import { MAX_CLOCK_AHEAD_MS, MAX_DELEGATION_MS } from '../../protocol/limits.ts'
import { type Clock, systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import { RENEWAL_MARGIN_MS } from '../../registry/renewal.ts'
import { Colony, clientOf, meets, until, zoarium, zoariumJson } from './colony.ts'

const EXAMPLE = projectPath('docs', 'examples', 'nuclei-unet')
const DAY_MS = 24 * 3600 * 1000

describe('e2e/keys', () => {
  const colony = new Colony()
  after(() => colony.stop())

  /** A node that was made so long ago. */
  async function founded(age: number): Promise<string> {
    const folder = join(await colony.folder(), 'node')
    const clock: Clock = { now: () => systemClock.now() - age }
    await initialise(dataFolder(folder), { displayName: 'EMBL' }, clock)
    return folder
  }
  /** Signs a profile in a folder that no daemon uses. */
  async function sign(folder: string, displayName: string): Promise<void> {
    const opened = await openRegistry(dataFolder(folder), systemClock)
    const profile = { label: 'embl', displayName, handle: null, url: null, ror: null }
    opened.registry.publishProfile(profile)
    await opened.close()
  }
  const keys = (folder: string, ...args: string[]) =>
    runCommand(['--json', 'keys', ...args], { ZOARIUM_DIR: folder })

  it('heals a log whose key was used twice, and other nodes follow', async () => {
    const folder = await founded(0)
    const replica = await colony.node('replica')
    const logHere = async (node: NodeProcess, publisher: string) =>
      (await clientOf(node).node()).logs.find((log) => log.publisher === publisher)
    const first = await colony.start(folder, [replica])
    const { publisher } = first
    await meets(replica, first)
    await zoariumJson(replica, 'trust', 'add', publisher, 'list')
    await until(async () => (await logHere(replica, publisher))?.seq === 0)
    await first.stop()

    const copy = join(await colony.folder(), 'copy')
    await cp(folder, copy, { recursive: true })
    await rm(join(copy, 'peer.key'))
    await sign(folder, 'EMBL')
    await sign(copy, 'EMBL from the copy')
    await sign(copy, 'EMBL from the copy again')
    const twin = await colony.start(copy, [replica])
    await until(async () => (await logHere(replica, publisher))?.seq === 2)
    await twin.stop()

    const forked = await colony.start(folder, [replica])
    const warnings = await until(async () => {
      const { warnings } = await clientOf(forked).node()
      return warnings.length > 0 && warnings
    })
    assert.equal(warnings[0]?.code, 'CONTESTED')
    const status = await zoarium(forked, 'status')
    const [, command = ''] = /zoarium (keys heal [0-9a-f]{16} --at 0\.1)/.exec(status.stdout) ?? []
    assert.notEqual(command, '', status.stdout)
    const refused = await zoarium(forked, 'publish', EXAMPLE, '--untested')
    assert.match(refused.stderr, /CONTESTED[\s\S]*keys heal/)
    await until(async () => (await logHere(replica, publisher))?.state === 'CONTESTED')
    await forked.stop()

    const healed = await runCommand(command.split(' '), environmentOf(forked))
    assert.equal(healed.code, 0, healed.stderr)
    const again = await colony.start(folder, [replica])
    await zoariumJson(again, 'publish', EXAMPLE, '--untested', '--name', 'healed')
    await until(async () => (await clientOf(replica).search({ q: 'nuclei' })).total === 1)
    const { epoch, seq, state } = (await logHere(replica, publisher)) ?? assert.fail()
    assert.deepEqual([epoch, seq, state], [1, 0, 'OK'])
    assert.deepEqual((await clientOf(again).node()).warnings, [])
  })

  it('renews device keys that run out, with the root keys that it has', async () => {
    const folder = await founded(MAX_DELEGATION_MS - RENEWAL_MARGIN_MS + DAY_MS)
    const node = await colony.start(folder)
    assert.deepEqual((await clientOf(node).node()).renewals, [])
    // While it runs, it is asked itself.
    const running = await zoarium(node, 'keys')
    assert.match(running.stdout, /publish +active .* this machine\n/)
    const [first] = (await zoariumJson<KeysView>(node, 'keys')).devices
    assert.match((await zoarium(node, 'keys', 'show', first?.key ?? '')).stdout, /good up to/)
    assert.match((await zoarium(node, 'keys', 'renew')).stderr, /LOCKED/)
    await node.stop()
    const { devices } = JSON.parse((await keys(folder, 'list')).stdout) as KeysView
    assert.deepEqual(
      devices.map(({ state, cuts }) => [state, cuts.length]),
      [
        ['active', 1],
        ['active', 1],
      ],
    )
  })

  it('runs with sealed keys after a rotation to 2 of 3, and renews with those', async () => {
    const folder = await founded(MAX_DELEGATION_MS - RENEWAL_MARGIN_MS + DAY_MS)
    const secrets = await colony.folder()
    const passphrase = join(secrets, 'passphrase')
    const keyFile = join(secrets, 'key')
    await writeFile(passphrase, 'correct horse', { mode: 0o600 })
    const change = async (env: NodeJS.ProcessEnv, ...args: string[]) => {
      const all = { ZOARIUM_DIR: folder, ...env }
      const { code, stdout, stderr } = await runCommand(['--json', 'keys', ...args], all)
      assert.equal(code, 0, stderr)
      return JSON.parse(stdout) as KeysView
    }
    const env = { ZOARIUM_PASSPHRASE_FILE: passphrase }
    await change({}, 'threshold', '2-of-3')
    assert.equal((await change(env, 'seal')).sealed, true)
    const node = await colony.start(folder, [], [], { env })
    await zoariumJson(node, 'publish', EXAMPLE, '--untested')
    assert.deepEqual((await clientOf(node).node()).renewals, [])
    await node.stop()
    const renewed = await change(env, 'unseal')
    assert.deepEqual([renewed.threshold, renewed.roots.length], [2, 3])
    assert.deepEqual(
      renewed.devices.map(({ cuts }) => cuts.length),
      [1, 1],
    )
    await change({}, 'seal', '--key-file', keyFile)
    const closed = await runCommand(['daemon'], { ZOARIUM_DIR: folder, ...env })
    assert.match(closed.stderr, /KEY_SEALED[\s\S]*ZOARIUM_KEY_FILE/)
    const again = await colony.start(folder, [], [], { env: { ZOARIUM_KEY_FILE: keyFile } })
    assert.equal((await clientOf(again).node()).counts.models, 1)
    await again.stop()
  })

  it('says where it cannot, and does not speak with a key that has run out', async () => {
    const folder = await founded(MAX_DELEGATION_MS - MAX_CLOCK_AHEAD_MS + DAY_MS)
    await rm(join(folder, 'keys', 'root.json'))
    const node = await colony.start(folder, [], ['--log-level', 'silent'])
    const { renewals, warnings } = await zoariumJson<NodeView>(node, 'status')
    assert.deepEqual(
      renewals.map(({ renews, problem }) => [renews, problem]),
      [
        [null, null],
        [null, null],
      ],
    )
    assert.deepEqual(
      warnings.map(({ code }) => code),
      ['KEY_EXPIRED'],
    )
    const { stdout } = await zoarium(node, 'status')
    assert.match(stdout, /RENEW: the publish key .* zoarium keys renew publish\n/)
    assert.match(stdout, /KEY_EXPIRED: the serve key .* zoarium keys renew serve\n/)
    const other = await colony.node('other', [node])
    const seen = await until(async () =>
      (await clientOf(other).peers()).find(
        ({ peer, connected }) => connected && peer === node.peer,
      ),
    )
    assert.equal(seen.publisher, null)
  })
})
