import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { DraftView } from '../../daemon/keys.ts'
import type { DeviceKeyView, KeysView } from '../../protocol/api.ts'
import { EXIT } from '../../protocol/errors.ts'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import { MAX_SECRET_FILE_BYTES, MIN_KEY_FILE_BYTES } from '../../registry/secret-file.ts'
import { type CliRun, zoarium } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/folder.ts'

describe('cli/keys', () => {
  let folder: string
  const run = (...argv: string[]): Promise<CliRun> =>
    zoarium(['keys', ...argv], { ZOARIUM_DIR: folder })
  const list = async () => (await run('list', '--json')).json() as KeysView
  beforeEach(async () => {
    folder = join(temporaryFolder(), 'node')
    await zoarium(['init', '--name', 'EMBL'], { ZOARIUM_DIR: folder })
  })

  it('lists and shows the keys', async () => {
    const { publisher, devices, roots, next } = await list()
    const { stdout } = await run()
    assert.match(stdout, new RegExp(`^${publisher}  3 operations\n`))
    assert.match(stdout, /1 of 1 sign\n +[0-9a-f]{16} {2}this machine\n/)
    assert.match(stdout, /publish +active +[\d-]{10} +[\d-]{10} +this machine/)
    assert.deepEqual([roots.map(({ here }) => here), next.here], [[true], true])
    const key = devices[0]?.key ?? ''
    const shown = await run('show', key.slice(0, 8))
    assert.ok(shown.stdout.startsWith(`${key}\n`))
    assert.match(shown.stdout, /newest record +0.0 bafy/)
    const view = (await run('show', key, '--json')).json() as DeviceKeyView
    assert.deepEqual(view, devices[0])
  })

  it('changes them', async () => {
    const [publish, serve] = (await list()).devices
    assert.match((await run('renew', 'serve')).stderr, /renewed 1 key\n/)
    assert.match((await run('renew', publish?.key ?? '')).stderr, /renewed 1 key\n/)
    const revoked = await run('revoke', serve?.key ?? '', '--reason', 'lost', '--at', 'none')
    assert.match(revoked.stderr, /zoarium keys delegate serve/)
    assert.match((await run('show', serve?.key ?? '')).stdout, /revoked: lost[\s\S]*none, the end/)
    assert.match((await run('delegate', 'serve')).stderr, /^[0-9a-f]{64} may serve\n/)
    const raised = await run('epoch', publish?.key ?? '', '--at', '0.0')
    assert.match(raised.stderr, /goes on after 0.0; where the key is in strange hands/)
    assert.match((await run('show', publish?.key ?? '')).stdout, /0.0 bafy.*, then epoch 1/)
    assert.equal((await run('rotate')).status, EXIT.ok)
    assert.match((await run('threshold', '2-of-3')).stdout, /2 of 3 sign/)
    const { length, devices, threshold } = await list()
    assert.deepEqual([length, devices.length, threshold], [11, 3, 2])
  })

  it('makes a key for a private log, and names a steward', async () => {
    const other = 'bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi'
    const made = await run('confide', other, '--roster', `${other}/alpha`)
    assert.match(
      made.stderr,
      /^[0-9a-f]{64} may publish to 1 publisher, 1 roster and your own nodes/,
    )
    assert.match(made.stdout, /private +active/)
    const { devices } = await list()
    const shown = await run('show', devices.at(-1)?.key ?? '')
    assert.match(shown.stdout, new RegExp(`private to +own nodes, ${other}, roster ${other}/alpha`))
    assert.match((await run('confide', 'nobody-known')).stderr, /NOT_FOUND/)
    assert.match((await run('confide', '--roster', 'alpha')).stderr, /PUBLISHER\/NAME/)
    assert.match((await run('steward', other)).stdout, new RegExp(`steward +${other}`))
    assert.match((await run('steward', 'none')).stderr, /no steward any more/)
    assert.equal((await list()).steward, null)
  })

  it('seals them under the passphrase of a file', async () => {
    const file = join(folder, 'passphrase')
    const env = { ZOARIUM_DIR: folder, ZOARIUM_PASSPHRASE_FILE: file }
    writeFileSync(file, 'correct horse\n', { mode: 0o600 })
    assert.equal((await run('seal')).status, EXIT.refused)
    assert.match((await zoarium(['keys', 'seal'], env)).stdout, /on disk +sealed/)
    const closed = await run('rotate')
    assert.equal(closed.status, EXIT.refused)
    assert.match(closed.stderr, /KEY_SEALED[\s\S]*ZOARIUM_PASSPHRASE_FILE/)
    const daemon = await zoarium(['daemon'], { ZOARIUM_DIR: folder })
    assert.match(daemon.stderr, /KEY_SEALED/)
    writeFileSync(file, 'wrong')
    assert.match((await zoarium(['keys'], env)).stderr, /does not open .*KEY_SEALED/)
    writeFileSync(file, 'correct horse')
    assert.match((await zoarium(['keys', 'unseal'], env)).stdout, /on disk +open/)
    const nowhere = { ...env, ZOARIUM_PASSPHRASE_FILE: '/nowhere' }
    assert.match((await zoarium(['keys', 'seal'], nowhere)).stderr, /ENOENT/)
  })

  it('seals them under a key file', async () => {
    const file = join(temporaryFolder(), 'key')
    const env = { ZOARIUM_DIR: folder, ZOARIUM_KEY_FILE: file }
    const inside = await run('seal', '--key-file', join(folder, 'keys', 'key'))
    assert.deepEqual([inside.status, /other|another disk/.test(inside.stderr)], [EXIT.usage, true])
    const made = await run('seal', '--key-file', file)
    assert.match(made.stdout, /on disk +sealed/)
    assert.match(made.stderr, /ZOARIUM_KEY_FILE/)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.match((await run()).stderr, /sealed under a key file.*KEY_SEALED[\s\S]*ZOARIUM_KEY_FILE/)
    const daemon = await zoarium(['daemon'], { ZOARIUM_DIR: folder })
    assert.match(daemon.stderr, /ZOARIUM_KEY_FILE/)
    assert.equal((await zoarium(['keys', 'rotate'], env)).status, EXIT.ok)
    assert.match((await zoarium(['keys', 'unseal'], env)).stdout, /on disk +open/)
    // One that is there is used as it is.
    const before = readFileSync(file)
    assert.match((await run('seal', '--key-file', file)).stdout, /on disk +sealed/)
    assert.deepEqual(readFileSync(file), before)

    const wrong = async (pattern: RegExp) => {
      const { status, stderr } = await zoarium(['keys'], env)
      assert.equal(status, EXIT.refused)
      assert.match(stderr, pattern)
    }
    chmodSync(file, 0o640)
    await wrong(/others can read the key file.*KEY_SEALED[\s\S]*chmod 600/)
    chmodSync(file, 0o600)
    writeFileSync(file, 'x'.repeat(MIN_KEY_FILE_BYTES))
    await wrong(/key file does not open/)
    writeFileSync(file, 'x'.repeat(MIN_KEY_FILE_BYTES - 1))
    await wrong(/too short/)
    writeFileSync(file, 'x'.repeat(MAX_SECRET_FILE_BYTES))
    await wrong(/does not open/)
    writeFileSync(file, 'x'.repeat(MAX_SECRET_FILE_BYTES + 1))
    await wrong(/too long/)
    rmSync(file)
    await wrong(/ENOENT/)
    mkdirSync(file, { mode: 0o700 })
    await wrong(/not a file/)
  })

  it('carries what was signed from one machine to another', async () => {
    const file = join(folder, 'export.json')
    const copy = join(temporaryFolder(), 'copy')
    cpSync(folder, copy, { recursive: true })
    await run('renew')
    assert.match((await run('export', file)).stderr, /written to/)
    const seen = await zoarium(['keys', 'import', file], { ZOARIUM_DIR: copy })
    assert.match(seen.stderr, /2 new operations/)
    assert.match(seen.stdout, /5 operations/)
    assert.equal((await run('import', '/nowhere')).status, EXIT.notFound)
  })

  it('signs on several machines what the node drafts', async () => {
    const base = temporaryFolder()
    const [secret, share, draft] = ['passphrase', 'share', 'draft'].map((name) => join(base, name))
    writeFileSync(secret ?? '', 'correct horse', { mode: 0o600 })
    const env = { ZOARIUM_PASSPHRASE_FILE: secret ?? '' }
    const second = (...argv: string[]) =>
      zoarium(['keys', ...argv], { ...env, ZOARIUM_DIR: join(base, 'second') })
    const here = (...argv: string[]) => zoarium(['keys', ...argv], { ...env, ZOARIUM_DIR: folder })
    await run('threshold', '2-of-2')
    assert.equal((await here('export', share ?? '', '--root', '3')).status, EXIT.usage)
    const moved = await here('export', share ?? '', '--root', '2', '--move')
    assert.match(moved.stdout, /elsewhere/)
    assert.match(moved.stdout, /next set +[0-9a-f]{16} {2}1 key of it on this machine/)
    assert.match(moved.stderr, /root key 2 is in .*backups/)
    assert.match((await second('import', share ?? '')).stderr, /2 new root keys/)

    const alone = await run('renew', 'serve')
    assert.equal(alone.status, EXIT.unverified)
    assert.match(
      alone.stderr,
      /too few root keys.*1 \(expected: 2\).*THRESHOLD_NOT_MET[\s\S]*--draft FILE/,
    )
    const drafted = await run('renew', 'serve', '--draft', draft ?? '')
    assert.match(drafted.stderr, /nothing has changed yet.*zoarium keys sign/)
    assert.match(
      (await run('import', draft ?? '')).stderr,
      /^zoarium: drafts\[0\]: root signatures are missing: 1 \(expected: 2\)/,
    )
    const shown = await second('sign', draft ?? '')
    assert.match(shown.stdout, /^5. let key [0-9a-f]{64} sign until .*\(1 of 2 signatures\)\n$/)
    assert.match(shown.stderr, /--yes/)
    const signed = await second('sign', draft ?? '', '--yes', '--json')
    const { drafts, added } = signed.json() as { drafts: DraftView[]; added: number }
    assert.deepEqual([added, drafts[0]?.missing, drafts[0]?.operation.op], [1, 0, 'renew'])
    assert.match((await run('import', draft ?? '')).stderr, /1 new operation\n/)
    assert.match((await second('sign', draft ?? '')).stderr, /nothing in that file/)
    assert.equal((await list()).length, 6)
  })

  it('needs the folder for itself', async () => {
    const opened = await openRegistry(dataFolder(folder), systemClock)
    const { status, stderr } = await run('rotate')
    assert.equal(status, EXIT.unreachable)
    assert.match(stderr, /LOCKED[\s\S]*hint: stop it first/)
    await opened.close()
  })

  it('says what is wrong', async () => {
    const key = (await list()).devices[0]?.key ?? ''
    assert.equal((await run('show', '0123456789')).status, EXIT.notFound)
    assert.equal((await run('delegate', 'publish')).status, EXIT.usage)
    const missing = await run('revoke', key, '--reason', 'stolen', '--at', '0.9')
    assert.match(missing.stderr, /NOT_FOUND/)
    const whole = await run('heal', key, '--at', '0.0')
    assert.match(whole.stderr, /has not forked[\s\S]*zoarium keys epoch/)
    assert.equal((await run('heal', key, '--at', 'none')).status, EXIT.usage)
    assert.equal((await run('epoch', key)).status, EXIT.usage)
    folder = join(folder, 'nowhere')
    assert.match((await run()).stderr, /NOT_INITIALISED/)
  })
})
