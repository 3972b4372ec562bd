/** A short campaign of kills, and that it would find what is done in a wrong order. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { runCampaign, sum } from './campaign.ts'
import { FAILPOINTS } from './kill.ts'
import { powerDisk, whyNoPowerDisk } from './power-disk.ts'

/** More than any negative control has needed. */
const MAX_KILLS = 100

describe('crash/campaign', () => {
  const seed = 'test'

  it('leaves the places that it does not pass to other tests', () => {
    const read = (folder: string, end: string): string =>
      fs
        .readdirSync(folder)
        .filter((file) => file.endsWith(end) && !file.startsWith('campaign'))
        .map((file) => fs.readFileSync(path.join(folder, file), 'utf8'))
        .join('\n')
    const program = read(path.join(import.meta.dirname, '../../registry'), '.ts')
    const places = [...program.matchAll(/failpoint\('([^']+)'\)/g)].map(([, name = '']) => name)
    const tests = read(import.meta.dirname, '.test.ts')
    // Some name them by their last word.
    const isTested = (name: string): boolean =>
      [name, name.replace(/^keys\./, '')].some((each) => tests.includes(`${each}'`))
    const campaign: readonly string[] = FAILPOINTS
    assert.deepEqual(
      places.filter((name) => !campaign.includes(name) && !isTested(name)),
      [],
      'list it in kill.ts, or kill there in a test of its own',
    )
    assert.deepEqual(
      campaign.filter((name) => !places.includes(name)),
      [],
      'no such place',
    )
  })

  it('finds nothing lost, forked or half-there', async () => {
    const result = await runCampaign({ seed, kills: 25 })
    assert.deepEqual(result.faults, [])
    assert.equal(sum(result.kills), 25)
  })

  const controls = {
    'acknowledge-first': /acknowledged or sent, and lost|acknowledged and lost/,
    'send-first': /forked itself|acknowledged or sent, and lost/,
    'row-first': /BLOB_MISSING/,
  }
  for (const [order, pattern] of Object.entries(controls)) {
    it(`finds what ${order} does`, async () => {
      const { faults } = await runCampaign({ seed, kills: MAX_KILLS, order })
      assert.ok(
        faults.some((fault) => pattern.test(fault)),
        faults.join('\n'),
      )
    })
  }

  describe('power cuts', () => {
    before(function () {
      const why = whyNoPowerDisk()
      if (why === null) return
      console.log(`      skipped: no disk that can lose anything here (${why})`)
      this.skip()
    })

    it('take nothing that was acknowledged', async () => {
      const result = await runCampaign({ seed, kills: 10, disk: powerDisk })
      assert.deepEqual(result.faults, [])
    })

    const lost = { files: /CONTENT_MISMATCH|can't be opened|lost/, all: /acknowledged or sent/ }
    for (const [what, pattern] of Object.entries(lost)) {
      it(`take what is not made durable: ${what}`, async () => {
        const env = { ZOARIUM_NO_SYNC: what }
        const { faults } = await runCampaign({ seed, kills: MAX_KILLS, disk: powerDisk, env })
        assert.ok(
          faults.some((fault) => pattern.test(fault)),
          faults.join('\n'),
        )
      })
    }
  })
})
