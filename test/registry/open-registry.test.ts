import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { expectOk } from '../../protocol/errors.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { examplePackage, TestClock } from '../helpers/test-registry.ts'

describe('registry/open-registry', () => {
  let folder: DataFolder
  const clock = new TestClock()
  beforeEach(() => {
    folder = dataFolder(path.join(temporaryFolder(), 'node'))
  })

  it('makes a publisher that has signed its profile', async () => {
    const made = await initialise(
      folder,
      { displayName: 'EMBL Heidelberg', handle: 'embl.de' },
      clock,
    )
    assert.equal(made.label, 'embl-heidelberg')
    const { registry, peerKey, token, close } = await openRegistry(folder, clock)
    assert.equal(registry.publisher, made.publisher)
    const profile = registry.profile(made.publisher)
    assert.deepEqual(
      [profile?.label, profile?.displayName, profile?.handle],
      ['embl-heidelberg', 'EMBL Heidelberg', 'embl.de'],
    )
    assert.deepEqual(
      registry.identity(made.publisher)?.devices.map(({ scope }) => scope),
      ['publish', 'serve'],
    )
    assert.equal(peerKey.length, 32)
    assert.equal(token.length, 64)
    await close()
  })

  it('keeps secrets to the owner', async () => {
    await initialise(folder, { displayName: 'EMBL' }, clock)
    for (const name of ['root', 'publish', 'serve']) {
      const { mode } = fs.statSync(path.join(folder.keys, `${name}.json`))
      assert.equal(mode & 0o777, 0o600)
    }
    assert.equal(fs.statSync(folder.path).mode & 0o777, 0o700)
  })

  it('gives a name that no label can hold one of its own', async () => {
    const { label, publisher } = await initialise(folder, { displayName: '理化学研究所' }, clock)
    assert.equal(label, `lab-${publisher.slice(-8)}`)
  })

  it('is done once for a folder', async () => {
    await initialise(folder, { displayName: 'EMBL' }, clock)
    const before = fs.readFileSync(folder.identity)
    await assert.rejects(initialise(folder, { displayName: 'Other' }, clock), { code: 'USAGE' })
    assert.deepEqual(fs.readFileSync(folder.identity), before)
  })

  it('leaves nothing that counts as a node where it fails, and can be tried again', async () => {
    const wrong = initialise(folder, { displayName: 'EMBL', label: 'NO LABEL' }, clock)
    await assert.rejects(wrong, { code: 'NAME' })
    await assert.rejects(openRegistry(folder, clock), { code: 'NOT_INITIALISED' })
    await initialise(folder, { displayName: 'EMBL' }, clock)
    const { registry, close } = await openRegistry(folder, clock)
    assert.equal(registry.publishers().length, 1)
    await close()
  })

  it('is opened by one process at a time', async () => {
    await initialise(folder, { displayName: 'EMBL' }, clock)
    const first = await openRegistry(folder, clock)
    await assert.rejects(openRegistry(folder, clock), { code: 'LOCKED' })
    await assert.rejects(initialise(folder, { displayName: 'B' }, clock), { code: 'LOCKED' })
    await first.close()
    await (await openRegistry(folder, clock)).close()
  })

  it('has everything again after a restart, and signs on', async () => {
    const { publisher } = await initialise(folder, { displayName: 'EMBL' }, clock)
    const first = await openRegistry(folder, clock)
    const { pkg, source } = await examplePackage()
    const plan = expectOk(first.registry.planPublication(pkg, { tested: 'untested' }))
    const signed = await first.registry.publish(pkg, source, plan)
    first.registry.setTrust({ publisher: signed.id, right: 'run', petname: 'friend' })
    await first.close()

    const { registry, close } = await openRegistry(folder, clock)
    assert.equal(registry.holding(signed.id).complete, true)
    assert.equal(registry.search({}).total, 1)
    assert.equal(expectOk(registry.resolvePublisher('friend')), signed.id)
    const next = expectOk(registry.planPublication(pkg, { tested: 'untested', version: '2.0.0' }))
    const second = await registry.publish(pkg, source, next)
    assert.equal(second.record.prev, signed.id)
    assert.equal(expectOk(registry.resolve(`${publisher}/example-model`)).record, second.id)
    await close()
  })

  it('deletes what a crash left of files that were being written', async () => {
    await initialise(folder, { displayName: 'EMBL' }, clock)
    const files = [`${folder.trust}.next`, `${folder.keys}/root.json.next`]
    for (const file of files) fs.writeFileSync(file, 'half a ')
    const { close } = await openRegistry(folder, clock)
    for (const file of files) assert.equal(fs.existsSync(file), false, file)
    await close()
  })

  it('refuses to sign with a catalogue that was restored from a backup', async () => {
    await initialise(folder, { displayName: 'EMBL' }, clock)
    const backup = fs.readFileSync(folder.catalogue)
    const first = await openRegistry(folder, clock)
    const profile = { label: 'embl', displayName: 'EMBL', handle: null, url: null, ror: null }
    const lost = first.registry.publishProfile(profile)
    first.registry.signer.share(lost.record.key)
    await first.close()
    fs.writeFileSync(folder.catalogue, backup)

    const { registry, close } = await openRegistry(folder, clock)
    assert.throws(() => registry.publishProfile(profile), { code: 'SELF_UNSURE' })
    // A peer that holds the record gives it back.
    expectOk(registry.admitRecord(lost.envelope, null))
    assert.equal(registry.publishProfile(profile).record.prev, lost.id)
    await close()
  })

  it('begins anew with a catalogue that was lost, still knowing who it is', async () => {
    const { publisher } = await initialise(folder, { displayName: 'EMBL' }, clock)
    fs.rmSync(folder.catalogue)
    const { registry, close } = await openRegistry(folder, clock)
    assert.equal(registry.identity(publisher)?.length, 3)
    await close()
  })

  it('stops at a wrong policy file and lets go of the folder', async () => {
    await initialise(folder, { displayName: 'EMBL' }, clock)
    fs.writeFileSync(folder.trust, 'version: 2\n')
    await assert.rejects(openRegistry(folder, clock), { code: 'POLICY' })
    fs.rmSync(folder.trust)
    await (await openRegistry(folder, clock)).close()
  })

  it('stops at damaged keys', async () => {
    await initialise(folder, { displayName: 'EMBL' }, clock)
    const file = path.join(folder.keys, 'publish.json')
    const whole = fs.readFileSync(file, 'utf8')
    for (const text of ['', '{', '{"version":1}', whole.replace(/"seed": "../, '"seed": "zz')]) {
      fs.writeFileSync(file, text)
      await assert.rejects(openRegistry(folder, clock), { code: 'STORE' })
    }
    fs.writeFileSync(file, whole.replace('"version": 1', '"version": 3'))
    await assert.rejects(openRegistry(folder, clock), { code: 'NEWER_STORE' })
    fs.rmSync(file)
    const { registry, close } = await openRegistry(folder, clock)
    assert.throws(() => registry.signer.device('publish'), { code: 'SCOPE' })
    await close()
  })
})
