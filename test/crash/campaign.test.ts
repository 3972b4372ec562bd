/** A short campaign of kills, and that it would find what is done in a wrong order. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { runCampaign, sum } from './campaign.ts'
import { FAILPOINTS } from './kill.ts'
import { powerDisk, whyNoPowerDisk } from './power-disk.ts'

/** Places that keys.test.ts kills at, which take files that travel between machines. */
const ELSEWHERE = ['keys.before-draft', 'keys.after-share']
/** More than any negative control has needed. */
const MAX_KILLS = 100

describe('crash/campaign', () => {
  const seed = 'test'

  it('kills at every named place of the program', () => {
    const registry = path.join(import.meta.dirname, '../../registry')
    const named = fs
      .readdirSync(registry)
      .map((file) => fs.readFileSync(path.join(registry, file), 'utf8'))
      .flatMap((text) => [...text.matchAll(/failpoint\('([^']+)'\)/g)].map(([, name]) => name))
    assert.deepEqual(
      [...new Set(named)].sort(),
      [...FAILPOINTS, ...ELSEWHERE].sort(),
      'list it in kill.ts',
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
