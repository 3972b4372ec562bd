import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import Database from 'better-sqlite3'
import { nodeCount } from '../../protocol/content-tree.ts'
import { expectOk } from '../../protocol/errors.ts'
import { type DataFolder, dataFolder } from '../../registry/data-folder.ts'
import { checkFolder, type FsckReport } from '../../registry/fsck.ts'
import { initialise, openRegistry } from '../../registry/open-registry.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { admit, examplePackage, introduce, TestClock } from '../helpers/test-registry.ts'

const LOOK = { deep: false, repair: false }
const DEEP = { deep: true, repair: false }
const REPAIR = { deep: true, repair: true }

describe('registry/fsck', () => {
  const clock = new TestClock()
  let folder: DataFolder
  /** A file of the own model that has a tree. */
  let large: string

  beforeEach(async () => {
    folder = dataFolder(path.join(temporaryFolder(), 'node'))
    await initialise(folder, { displayName: 'EMBL' }, clock)
    const opened = await openRegistry(folder, clock)
    const { registry } = opened
    const { pkg, source } = await examplePackage({
      files: { 'extra.bin': new Uint8Array(3 * 1024 ** 2).fill(7) },
      card: (card) => (card.attachments = [{ source: 'extra.bin' }]),
    })
    const plan = expectOk(registry.planPublication(pkg, { tested: 'untested' }))
    const { id } = await registry.publish(pkg, source, plan)
    const files = registry.catalogue.model(id)?.files ?? []
    large = files.find(({ size }) => nodeCount(size) > 0)?.cid ?? ''
    const other = new TestPublisher('other')
    introduce(registry, other, 'list')
    admit(registry, other.model({ name: 'theirs' }))
    await opened.close()
  })

  const blobFile = (cid: string): string => path.join(folder.blobs, cid.slice(-3, -1), cid)
  const codes = ({ faults }: FsckReport): string[] => faults.map(({ code }) => code)
  function change(sql: string, ...values: unknown[]): void {
    const db = new Database(folder.catalogue)
    assert.equal(db.prepare(sql).run(...values).changes, 1, sql)
    db.close()
  }
  function flip(file: string, at: number): void {
    const bytes = fs.readFileSync(file)
    bytes[at] = (bytes[at] ?? 0) ^ 1
    fs.writeFileSync(file, bytes)
  }

  it('finds a sound folder sound, and changes nothing in it', async () => {
    const report = await checkFolder(folder, DEEP)
    assert.deepEqual(report.faults, [])
    assert.deepEqual(report.leftovers, [])
    assert.deepEqual([report.publishers, report.logs, report.models], [2, 2, 2])
    assert.ok(report.records >= 3 && report.files.count > 3 && report.absent.count > 0)
    const again = await checkFolder(folder, REPAIR)
    assert.deepEqual(again, report)
  })

  it('finds a flipped bit in a signed record', async () => {
    const db = new Database(folder.catalogue)
    const { id, envelope } = db
      .prepare("SELECT id, envelope FROM records WHERE kind = 'model' ORDER BY id LIMIT 1")
      .get() as { id: number; envelope: Buffer }
    envelope[envelope.length - 70] = (envelope.at(-70) ?? 0) ^ 1
    db.prepare('UPDATE records SET envelope = ? WHERE id = ?').run(envelope, id)
    db.close()
    const report = await checkFolder(folder, REPAIR)
    assert.equal(report.faults[0]?.code, 'SIG_INVALID')
    assert.match(report.faults[0]?.field ?? '', /record after 0\.0$/)
  })

  it('finds records, chains and heads that are gone', async () => {
    const { publisher } = JSON.parse(fs.readFileSync(folder.identity, 'utf8'))
    change("DELETE FROM records WHERE kind = 'profile'")
    assert.deepEqual(codes(await checkFolder(folder, LOOK)), ['GAP'])
    change('UPDATE heads SET envelope = ? WHERE publisher = ?', Buffer.alloc(80), publisher)
    assert.equal((await checkFolder(folder, LOOK)).faults.length, 2)
    change('DELETE FROM identity_ops WHERE n = 1 AND publisher = ?', publisher)
    const { faults } = await checkFolder(folder, LOOK)
    assert.deepEqual(
      faults.map(({ field }) => field),
      [publisher],
    )
  })

  it('tells that the catalogue lacks what was signed', async () => {
    const ledger = JSON.parse(fs.readFileSync(folder.lastSigned, 'utf8'))
    for (const position of Object.values<{ seq: number }>(ledger.logs)) position.seq += 5
    fs.writeFileSync(folder.lastSigned, JSON.stringify(ledger))
    assert.deepEqual(codes(await checkFolder(folder, LOOK)), ['SELF_UNSURE'])
  })

  it('finds rotten bytes with --deep, and sets them aside with --repair', async () => {
    flip(blobFile(large), 1_500_000)
    assert.deepEqual(codes(await checkFolder(folder, LOOK)), [])
    assert.deepEqual(codes(await checkFolder(folder, DEEP)), ['CONTENT_MISMATCH'])
    assert.ok(fs.existsSync(blobFile(large)))
    const { faults, repaired } = await checkFolder(folder, REPAIR)
    assert.deepEqual(faults, [])
    assert.deepEqual(
      repaired.map(({ field }) => field),
      [large],
    )
    // Missing now, and the rotten bytes are the only ones there are.
    const after = await checkFolder(folder, REPAIR)
    assert.deepEqual(codes(after), ['BLOB_MISSING'])
    assert.deepEqual(
      after.leftovers.map(({ kind, isDropped }) => [kind, isDropped]),
      [['rotten', false]],
    )
  })

  it('sees a file of another length at once', async () => {
    fs.truncateSync(blobFile(large), 1000)
    assert.deepEqual(codes(await checkFolder(folder, LOOK)), ['CONTENT_MISMATCH'])
  })

  it('builds trees and cards again from the files', async () => {
    change('DELETE FROM trees WHERE cid = ?', large)
    const card = new Database(folder.catalogue)
    card
      .prepare('DELETE FROM cards WHERE cid = (SELECT card FROM models ORDER BY id LIMIT 1)')
      .run()
    card.close()
    assert.deepEqual(codes(await checkFolder(folder, LOOK)).sort(), [
      'BLOB_MISSING',
      'CONTENT_MISMATCH',
    ])
    const { faults, repaired } = await checkFolder(folder, REPAIR)
    assert.deepEqual([faults.length, repaired.length], [0, 2])
    assert.deepEqual(codes(await checkFolder(folder, DEEP)), [])
  })

  it('lists what crashes leave, and drops what is of no more use', async () => {
    const left = {
      'trust.yaml.next': 'x',
      'blobs/.put-0011': 'x',
      'spool/upload-1': 'x',
      [`quarantine/${large}-0011`]: 'x',
      [`partial/${large}`]: 'x',
    }
    for (const [name, text] of Object.entries(left)) {
      fs.writeFileSync(path.join(folder.path, name), text)
    }
    const seen = await checkFolder(folder, LOOK)
    assert.deepEqual(seen.leftovers.map((each) => each.path).sort(), Object.keys(left).sort())
    assert.ok(seen.leftovers.every(({ bytes, isDropped }) => bytes > 0 && !isDropped))
    assert.ok((await checkFolder(folder, REPAIR)).leftovers.every(({ isDropped }) => isDropped))
    assert.deepEqual((await checkFolder(folder, LOOK)).leftovers, [])
  })

  it('reports a catalogue that SQLite cannot read', async () => {
    const bytes = fs.readFileSync(folder.catalogue)
    bytes.fill(0xff, 3 * 4096, 9 * 4096)
    fs.writeFileSync(folder.catalogue, bytes)
    const { faults } = await checkFolder(folder, REPAIR)
    assert.ok(faults.length > 0 && faults.every(({ code }) => code === 'STORE'))
    assert.match(faults[0]?.hint ?? '', /backup/)
  })

  it('wants the folder for itself', async () => {
    const opened = await openRegistry(folder, clock)
    await assert.rejects(checkFolder(folder, LOOK), { code: 'LOCKED' })
    await opened.close()
  })
})
