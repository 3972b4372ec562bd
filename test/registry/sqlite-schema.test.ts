import assert from 'node:assert/strict'
import path from 'node:path'
import Database from 'better-sqlite3'
import { expectOk } from '../../protocol/errors.ts'
import { checkCatalogue } from '../../registry/catalogue-check.ts'
import { SqliteCatalogue } from '../../registry/sqlite-catalogue.ts'
import { MIGRATIONS } from '../../registry/sqlite-schema.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { admit, introduce, testRegistry } from '../helpers/test-registry.ts'

/**
 * A database as the version of a schema left it: its tables, with the rows of a present one as far
 * as they had the columns.
 */
function writeOld(file: string, version: number, present: string): void {
  const db = new Database(file)
  // The tables of the full text are SQLite's own.
  db.unsafeMode(true)
  db.pragma('foreign_keys = OFF')
  for (const sql of MIGRATIONS.slice(0, version)) db.exec(sql)
  db.pragma(`user_version = ${version}`)
  db.prepare('ATTACH ? AS present').run(present)
  for (const table of tablesOf(db, 'main')) {
    const known = new Set(columnsOf(db, 'present', table))
    const columns = columnsOf(db, 'main', table).filter((each) => known.has(each))
    if (columns.length === 0) continue
    const names = columns.map((each) => `"${each}"`).join()
    db.exec(`DELETE FROM main."${table}";
      INSERT INTO main."${table}" (${names}) SELECT DISTINCT ${names} FROM present."${table}"`)
  }
  db.close()
}

/** Without the virtual ones, whose rows lie in tables of their own. */
const tablesOf = (db: Database.Database, schema: string): readonly string[] =>
  db
    .prepare(
      `SELECT name FROM ${schema}.sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'
       AND name NOT LIKE 'sqlite_%' ORDER BY name`,
    )
    .pluck()
    .all() as string[]

const columnsOf = (db: Database.Database, schema: string, table: string): readonly string[] =>
  db.prepare(`SELECT name FROM pragma_table_info(?, ?)`).pluck().all(table, schema) as string[]

/** Everything that a schema makes; how a column came is not told from its text. */
function shapeOf(file: string): unknown {
  const db = new Database(file, { readonly: true })
  const made = db
    .prepare(`SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name`)
    .all()
  const columns = tablesOf(db, 'main').map((table) => [
    table,
    columnsOf(db, 'main', table).toSorted(),
  ])
  db.close()
  return { made, columns }
}

describe('registry/sqlite-schema', () => {
  let present: string
  let embl: TestPublisher

  beforeEach(async () => {
    present = path.join(temporaryFolder(), 'present.sqlite')
    const catalogue = new SqliteCatalogue(present)
    const { registry } = await testRegistry('here', { catalogue })
    embl = new TestPublisher('embl')
    introduce(registry, embl, 'mirror')
    const first = admit(registry, embl.model({ name: 'nuclei', aliases: ['affable-shark'] }))
    admit(registry, embl.model({ name: 'nuclei', version: '2.0.0' }))
    for (const said of [
      embl.profile('embl', 'EMBL'),
      embl.tag('nuclei', 'stable', first),
      embl.withdraw(first),
    ]) {
      expectOk(registry.admitRecord(said.envelope, null))
    }
    catalogue.putSetting('a', 'b')
    await registry.close()
  })

  MIGRATIONS.forEach((_, index) => {
    const version = index + 1
    it(`brings a database of version ${version} to the present one, with all that it had`, async () => {
      const file = path.join(temporaryFolder(), 'old.sqlite')
      writeOld(file, version, present)
      const catalogue = new SqliteCatalogue(file)
      const { publisher } = embl
      const { faults, records, models } = await checkCatalogue(catalogue)
      assert.deepEqual([faults, records, models], [[], 5, 2])
      const versions = catalogue.modelVersions(publisher, 'nuclei')
      assert.deepEqual(
        versions.map((each) => [each.version, each.withdrawn]),
        [
          ['2.0.0', null],
          ['1.0.0', 'yank'],
        ],
      )
      assert.equal(catalogue.search({ text: 'nucl' }).total, 1)
      assert.equal(catalogue.modelsByAlias('affable-shark').length, 1)
      assert.equal(catalogue.tags(publisher, 'nuclei', 'stable').length, 1)
      assert.equal(catalogue.profile(publisher)?.displayName, 'EMBL')
      assert.equal(catalogue.setting('a'), 'b')
      catalogue.close()
      assert.deepEqual(shapeOf(file), shapeOf(present))
    })
  })

  it('leaves a database of a later version as it is', () => {
    const file = path.join(temporaryFolder(), 'later.sqlite')
    writeOld(file, MIGRATIONS.length, present)
    const db = new Database(file)
    db.pragma(`user_version = ${MIGRATIONS.length + 1}`)
    db.close()
    assert.throws(() => new SqliteCatalogue(file), { code: 'NEWER_STORE' })
    const after = new Database(file)
    assert.equal(after.pragma('user_version', { simple: true }), MIGRATIONS.length + 1)
    assert.equal(after.pragma('journal_mode', { simple: true }), 'delete')
    after.close()
  })
})
