import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import Database from 'better-sqlite3'
import { SqliteCatalogue } from '../../registry/sqlite-catalogue.ts'
import { MIGRATIONS } from '../../registry/sqlite-schema.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { describeModel, TestPublisher, utf8 } from '../helpers/publisher.ts'
import { catalogueSuite } from '../suites/catalogue.ts'

catalogueSuite('registry/sqlite-catalogue', () => new SqliteCatalogue(':memory:'))

const { pragma } = Database.prototype

/** Sees the settings of every database that is opened, until the end of the test. */
function watchPragmas(seen: (db: Database.Database, source: string) => void): void {
  Database.prototype.pragma = function (this: Database.Database, ...args) {
    seen(this, args[0])
    return pragma.apply(this, args)
  }
}

describe('registry/sqlite-catalogue', () => {
  afterEach(() => {
    Database.prototype.pragma = pragma
  })
  const freshFile = (): string => path.join(temporaryFolder(), 'catalogue.sqlite')

  it('has everything again after it was closed', () => {
    const file = freshFile()
    const embl = new TestPublisher('embl')
    const { signed, card } = embl.model({ name: 'a' })
    const first = new SqliteCatalogue(file)
    first.appendRecord(signed, { card, description: describeModel({ name: 'A' }) })
    first.close()
    const second = new SqliteCatalogue(file)
    assert.equal(second.search({ text: 'a' }).items[0]?.record, signed.id)
    assert.deepEqual(second.record(signed.id)?.envelope, signed.envelope)
    second.close()
  })

  it('leaves nothing of a card in the file once its model is stripped', () => {
    const file = freshFile()
    const embl = new TestPublisher('embl')
    embl.letErase()
    const card = utf8('authors: [Zephyrine Quillfeather]')
    const words = { authors: ['Zephyrine Quillfeather'], description: 'Of Zephyrine.' }
    const model = embl.model({ name: 'a', card })
    const first = new SqliteCatalogue(file)
    for (let n = 0; n < 50; n += 1) {
      const other = embl.model({ name: `m${n}` }).signed
      first.appendRecord(other, { card: utf8(`${n}`), description: describeModel({ name: 'b' }) })
    }
    first.appendRecord(model.signed, { card, description: describeModel({ name: 'a', ...words }) })
    const isThere = (): boolean => /zephyrine|quillfeather/i.test(fs.readFileSync(file, 'latin1'))
    first.close()
    assert.equal(isThere(), true)
    const second = new SqliteCatalogue(file)
    second.appendRecord(embl.withdraw(model.signed.id, 'erase'), {})
    second.strip(model.signed.id)
    for (let isMore = second.scrub(true); isMore; ) isMore = second.scrub(false)
    assert.equal(second.search({ text: 'm4' }).total, 11)
    second.close()
    assert.equal(isThere(), false)
  })

  it('brings the first schema to the newest, and knows what was replaced', () => {
    const file = freshFile()
    const embl = new TestPublisher('embl')
    const [one, two] = [embl.profile('one'), embl.profile('two')]
    const before = new Database(file)
    before.exec(MIGRATIONS[0] ?? assert.fail())
    before.pragma('user_version = 1')
    const insert = before.prepare(
      'INSERT INTO profiles VALUES (?, ?, ?, ?, ?, NULL, NULL, NULL, ?)',
    )
    for (const { id, envelope } of [one, two]) {
      insert.run(id, embl.publisher, envelope, 'label', id, '[]')
    }
    const greatest = one.id > two.id ? one : two
    before.prepare('INSERT INTO replaced VALUES (?, ?)').run(embl.publisher, greatest.id)
    before.close()
    const catalogue = new SqliteCatalogue(file)
    assert.notEqual(catalogue.profile(embl.publisher)?.record, greatest.id)
    assert.deepEqual(catalogue.evidence(embl.publisher), [])
    catalogue.close()
  })

  it('waits for the disk at every commit', () => {
    // Without this an acknowledged publish could be lost in a power cut.
    const pragmas: string[] = []
    watchPragmas((_, source) => pragmas.push(source))
    new SqliteCatalogue(freshFile()).close()
    const wanted = [
      'journal_mode = WAL',
      'synchronous = FULL',
      'foreign_keys = ON',
      'cell_size_check = ON',
      'trusted_schema = OFF',
    ]
    for (const each of wanted) assert(pragmas.includes(each), each)
  })

  it('refuses a store of a newer version and leaves it untouched', () => {
    const file = freshFile()
    const db = new Database(file)
    db.exec('CREATE TABLE future (x); PRAGMA user_version = 9999')
    db.close()
    const before = fs.readFileSync(file)
    assert.throws(() => new SqliteCatalogue(file), { code: 'NEWER_STORE' })
    assert.deepEqual(fs.readFileSync(file), before)
  })

  it('says when the file is not a database', () => {
    const file = freshFile()
    fs.writeFileSync(file, 'x'.repeat(8192))
    assert.throws(() => new SqliteCatalogue(file), { code: 'STORE' })
  })

  it('finds a damaged page after an unclean end', () => {
    const file = freshFile()
    const catalogue = new SqliteCatalogue(file)
    for (let n = 0; n < 200; n += 1) catalogue.putSetting(`key ${n}`, 'v'.repeat(500))
    catalogue.close()
    const bytes = fs.readFileSync(file)
    bytes.fill(0xff, bytes.length - 4096 * 3)
    fs.writeFileSync(file, bytes)
    fs.writeFileSync(`${file}-wal`, '')
    assert.throws(() => new SqliteCatalogue(file), { code: 'STORE' })
  })

  it('says when the disk is full, and is whole afterwards', () => {
    const file = freshFile()
    watchPragmas((db, source) => {
      if (source === 'synchronous = FULL') pragma.call(db, 'max_page_count = 100')
    })
    const catalogue = new SqliteCatalogue(file)
    catalogue.putSetting('first', 'here')
    const { publisher } = new TestPublisher('x')
    const large = [new Uint8Array(10_000_000)]
    assert.throws(() => catalogue.putTree(publisher, large), { code: 'DISK_FULL' })
    assert.equal(catalogue.tree(publisher), null)
    catalogue.putSetting('second', 'here too')
    catalogue.close()
    const again = new SqliteCatalogue(file)
    assert.deepEqual([again.setting('first'), again.setting('second')], ['here', 'here too'])
    again.close()
  })

  it('says when the file cannot be opened', () => {
    assert.throws(() => new SqliteCatalogue(temporaryFolder()), { code: 'STORE' })
  })

  it('does not confuse a defect with a failing disk', () => {
    const catalogue = new SqliteCatalogue(':memory:')
    const { publisher } = new TestPublisher('embl')
    catalogue.putIdentityOp(publisher, 0, utf8('op'))
    assert.throws(() => catalogue.putIdentityOp(publisher, 0, utf8('op')), Database.SqliteError)
    catalogue.close()
  })
})
