import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { toHex } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/crypto.ts'
import { expectOk } from '../../protocol/errors.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { memoryLedger } from '../../registry/ledger.ts'
import { MemoryBlobs } from '../../registry/memory-blobs.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { FIRST_VERSION } from '../../registry/publication.ts'
import { Registry } from '../../registry/registry.ts'
import { Signer } from '../../registry/signer.ts'
import type { ExampleOptions } from '../helpers/package.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { examplePackage, introduce, testRegistry } from '../helpers/test-registry.ts'
import { readAll, someBytes } from '../suites/blob-store.ts'

const tested = 'untested' as const

describe('registry/publication', () => {
  const nothingKept = (registry: Registry): void => {
    assert.equal(registry.counts().records, 0)
    assert.deepEqual([...registry.blobs.list()], [])
  }

  it('keeps all files, signs the record, and lists the model', async () => {
    const { registry, own } = await testRegistry()
    const { pkg, source, folder } = await examplePackage({ name: 'Nuclei U-Net' })
    const plan = expectOk(registry.planPublication(pkg, { tested }))
    const signed = await registry.publish(pkg, source, plan)
    const model = expectOk(registry.resolve(`${own.publisher}/nuclei-u-net@1.0.0`))
    assert.equal(model.record, signed.id)
    assert.deepEqual(registry.holding(signed.id), { complete: true, missing: [] })
    for (const file of model.files) {
      const bytes = await readAll(await registry.blobs.open(file.cid))
      assert.deepEqual(bytes, new Uint8Array(fs.readFileSync(path.join(folder, file.path))))
    }
    assert.deepEqual(
      model.files.map((file) => file.path),
      ['README.md', 'rdf.yaml', 'test_input.npy', 'test_output.npy', 'weights.onnx'],
    )
    assert.equal(registry.search({ text: 'nuclei' }).items[0]?.record, signed.id)
    assert.deepEqual(registry.catalogue.card(model.card), pkg.card)
  })

  it('makes records that other nodes take in', async () => {
    const { registry, own } = await testRegistry()
    const { registry: other } = await testRegistry('other')
    const { pkg, source } = await examplePackage()
    const signed = await registry.publish(
      pkg,
      source,
      expectOk(registry.planPublication(pkg, { tested })),
    )
    introduce(other, own)
    expectOk(other.admitRecord(signed.envelope, pkg.card))
    assert.equal(other.search({}).total, 1)
  })

  it('keeps the trees of large files', async () => {
    const { registry } = await testRegistry()
    const { pkg, source } = await examplePackage({
      card: (card) => {
        card.attachments = [{ source: 'large.bin' }]
      },
      files: { 'large.bin': someBytes(2 * LEAF_BYTES + 1) },
    })
    const signed = await registry.publish(
      pkg,
      source,
      expectOk(registry.planPublication(pkg, { tested })),
    )
    const large = registry.catalogue
      .model(signed.id)
      ?.files.find((file) => file.path === 'large.bin')
    assert(large)
    assert.equal(registry.tree(large.cid)?.length, 1)
  })

  describe('the plan', () => {
    it('takes name and version from the card, unless told otherwise', async () => {
      const { registry } = await testRegistry()
      const { pkg } = await examplePackage({ name: 'Nuclei U-Net (2D)', version: '3.1.4' })
      const { name, version } = expectOk(registry.planPublication(pkg, { tested }))
      assert.deepEqual([name, version], ['nuclei-u-net-2d', '3.1.4'])
      const given = expectOk(
        registry.planPublication(pkg, { tested, name: 'nuclei', version: '4.0.0' }),
      )
      assert.deepEqual([given.name, given.version], ['nuclei', '4.0.0'])
      const none = { ...pkg, description: { ...pkg.description, version: null } }
      assert.equal(expectOk(registry.planPublication(none, { tested })).version, FIRST_VERSION)
    })

    it('refuses names and versions that are none, and says how to choose', async () => {
      const { registry } = await testRegistry()
      const { pkg } = await examplePackage()
      for (const options of [
        { name: 'No Name' },
        { name: '' },
        { version: 'v 1' },
        { version: '' },
      ]) {
        const verdict = registry.planPublication(pkg, { tested, ...options })
        assert(!verdict.ok)
        assert.equal(verdict.code, 'NAME')
        assert.match(verdict.hint ?? '', /--(name|version)/)
      }
      const unnamed = { ...pkg, description: { ...pkg.description, name: '細胞核' } }
      const verdict = registry.planPublication(unnamed, { tested })
      assert(!verdict.ok && verdict.field === 'name')
    })

    it('never publishes a version twice, not even a withdrawn one', async () => {
      const { registry } = await testRegistry()
      const { pkg, source } = await examplePackage()
      const plan = expectOk(registry.planPublication(pkg, { tested }))
      const first = await registry.publish(pkg, source, plan)
      const again = registry.planPublication(pkg, { tested })
      assert(!again.ok && again.code === 'VERSION_EXISTS')
      const body = { target: first.id, verb: 'yank', reason: 'wrong-output', note: '' } as const
      registry.append({ kind: 'withdraw', body })
      assert(!registry.planPublication(pkg, { tested }).ok)
      await assert.rejects(registry.publish(pkg, source, plan), { code: 'VERSION_EXISTS' })
      assert.equal(registry.holding(first.id).complete, true)
    })
  })

  describe('refused', () => {
    it('leaves nothing behind where a file has changed since it was read', async () => {
      const { registry } = await testRegistry()
      const { pkg, source, folder } = await examplePackage()
      const plan = expectOk(registry.planPublication(pkg, { tested }))
      const weights = path.join(folder, 'weights.onnx')
      const bytes = fs.readFileSync(weights)
      bytes[40] = (bytes[40] ?? 0) ^ 1
      fs.writeFileSync(weights, bytes)
      await assert.rejects(
        registry.publish(pkg, source, plan),
        (error: { code: string; data: object }) => {
          assert.equal(error.code, 'FILE_HASH')
          assert.deepEqual((error.data as { field: string }).field, 'weights.onnx')
          return true
        },
      )
      nothingKept(registry)
    })

    it('leaves nothing behind where a file grows, shrinks or goes', async () => {
      const changes = [
        (file: string) => fs.appendFileSync(file, 'x'),
        (file: string) => fs.truncateSync(file, 10),
        (file: string) => fs.rmSync(file),
      ]
      for (const change of changes) {
        const { registry } = await testRegistry()
        const { pkg, source, folder } = await examplePackage()
        const plan = expectOk(registry.planPublication(pkg, { tested }))
        change(path.join(folder, 'weights.onnx'))
        await assert.rejects(registry.publish(pkg, source, plan), (error: { code?: string }) =>
          ['FILE_HASH', 'LIMIT', 'STORE'].includes(error.code ?? ''),
        )
        nothingKept(registry)
      }
    })

    it('leaves nothing behind where the disk is full', async () => {
      const full = new (class extends MemoryCatalogue {
        override appendRecord(): void {
          throw Object.assign(new Error('full'), { code: 'DISK_FULL' })
        }
      })()
      const { registry } = await testRegistry('here', { catalogue: full })
      const { pkg, source } = await examplePackage()
      const plan = expectOk(registry.planPublication(pkg, { tested }))
      await assert.rejects(registry.publish(pkg, source, plan), { code: 'DISK_FULL' })
      nothingKept(registry)
    })

    it('keeps the files that another version needs', async () => {
      const { registry } = await testRegistry()
      const { pkg, source, folder } = await examplePackage()
      const options = { tested }
      const first = await registry.publish(
        pkg,
        source,
        expectOk(registry.planPublication(pkg, options)),
      )
      const plan = expectOk(registry.planPublication(pkg, { tested, version: '2.0.0' }))
      fs.appendFileSync(path.join(folder, 'weights.onnx'), 'x')
      await assert.rejects(registry.publish(pkg, source, plan))
      assert.equal(registry.holding(first.id).complete, true)
      assert.equal(
        [...registry.blobs.list()].length,
        new Set(pkg.files.map((file) => file.sha256)).size,
      )
    })

    it('signs nothing while unsure of its own log', async () => {
      const { registry, own } = await testRegistry()
      const { key } = registry.signer.device('publish')
      const { id } = own.profile('x')
      registry.signer.prepare(key, { epoch: 0, seq: 5, id }).commit()
      const { pkg, source } = await examplePackage()
      const plan = expectOk(registry.planPublication(pkg, { tested }))
      await assert.rejects(registry.publish(pkg, source, plan), { code: 'SELF_UNSURE' })
      nothingKept(registry)
    })
  })

  it('publishes one after the other what is asked for at once', async () => {
    const { registry } = await testRegistry()
    const packages = await Promise.all(
      ['Model a', 'Model b', 'Model c'].map((name) => examplePackage({ name })),
    )
    const broken = packages[1] ?? assert.fail()
    const plans = packages.map(({ pkg }) => expectOk(registry.planPublication(pkg, { tested })))
    fs.rmSync(path.join(broken.folder, 'test_output.npy'))
    const results = await Promise.allSettled(
      packages.map(({ pkg, source }, n) =>
        registry.publish(pkg, source, plans[n] ?? assert.fail()),
      ),
    )
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    for (const model of registry.search({}).items) {
      assert.equal(registry.holding(model.record).complete, true)
    }
    assert.equal(registry.search({}).total, 2)
  })

  it('clears away the files of a publication that was cut off', async () => {
    const blobs = new MemoryBlobs()
    const { registry, parts } = await testRegistry('here', { blobs })
    const { pkg, source } = await examplePackage()
    const plan = expectOk(registry.planPublication(pkg, { tested }))
    const kept = await registry.publish(pkg, source, plan)
    const orphan = (async function* () {
      yield someBytes(100)
    })()
    const { cid } = await blobs.put(orphan, 1000)
    parts.catalogue.putSetting('publication/under-way', '1')
    const again = await Registry.open(parts)
    assert.equal(blobs.stat(cid), null)
    assert.equal(again.holding(kept.id).complete, true)
  })
  describe('for an audience', () => {
    /** A registry whose own publisher has a private log. */
    async function confiding() {
      const own = new TestPublisher('here')
      const seed = own.confide([])
      const { publisher, operations } = own
      const seeds = { ...own.seeds, private: seed }
      const signer = new Signer({ publisher, seeds, ledger: memoryLedger() })
      const test = await testRegistry('here', { signer })
      expectOk(test.registry.admitIdentity(publisher, operations, 0))
      return { ...test, key: toHex(publicKeyOf(seed)), open: own.key() }
    }
    const publish = async (
      { registry }: { readonly registry: Registry },
      isPrivate: boolean,
      options: ExampleOptions = {},
    ) => {
      const { pkg, source } = await examplePackage(options)
      const plan = expectOk(registry.planPublication(pkg, { tested, isPrivate }))
      return registry.publish(pkg, source, plan)
    }

    it('signs with the key of the private log, as what is said of the model later', async () => {
      const here = await confiding()
      const { registry, key } = here
      const signed = await publish(here, true)
      assert.equal(signed.record.key, key)
      const model = expectOk(registry.resolve(signed.id))
      const said = [
        registry.tag(model, 'stable'),
        registry.withdraw(model, { verb: 'yank', reason: 'a', note: '' }),
      ]
      for (const { record } of said) assert.equal(record.key, key)
      assert.equal(registry.heads().length, 1)
    })

    it('goes public as the same version, with the same files only', async () => {
      const here = await confiding()
      const { registry, open, own } = here
      const hidden = await publish(here, true)
      await assert.rejects(publish(here, true), { code: 'VERSION_EXISTS' })
      const other = publish(here, false, { files: { 'README.md': 'Another text.' } })
      await assert.rejects(other, { code: 'VERSION_EXISTS' })
      const shown = await publish(here, false)
      assert.equal(shown.record.key, open)
      const found = expectOk(registry.resolve(`${own.publisher}/example-model@1.0.0`))
      assert.ok([hidden.id, shown.id].includes(found.record))
      await assert.rejects(publish(here, false), { code: 'VERSION_EXISTS' })
      await assert.rejects(publish(here, true), { code: 'VERSION_EXISTS' })
    })

    it('is refused where the machine has no such key', async () => {
      await assert.rejects(publish(await testRegistry(), true), { code: 'SCOPE' })
    })
  })
})
