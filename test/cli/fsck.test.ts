import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT } from '../../protocol/errors.ts'
import { zoarium } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/folder.ts'

describe('cli/commands/fsck', () => {
  it('ends with 7 where something is wrong, and says it once', async () => {
    const env = { ZOARIUM_DIR: join(temporaryFolder(), 'node') }
    await zoarium(['init', '--name', 'EMBL'], env)
    const sound = await zoarium(['fsck', '--deep'], env)
    assert.equal(sound.status, EXIT.ok, sound.stderr)
    assert.match(sound.stdout, /sound[\s\S]*1 record in 1 log of 1 publisher/)

    const ledger = join(env.ZOARIUM_DIR, 'last-signed.json')
    writeFileSync(ledger, readFileSync(ledger, 'utf8').replace(/"seq": *0/, '"seq": 9'))
    const faulty = await zoarium(['--json', 'fsck'], env)
    assert.equal(faulty.status, EXIT.unverified)
    assert.equal(faulty.stderr, '')
    const { faults } = faulty.json() as { faults: { code: string }[] }
    assert.deepEqual(
      faults.map(({ code }) => code),
      ['SELF_UNSURE'],
    )
    assert.match((await zoarium(['fsck'], env)).stdout, /1 fault[\s\S]*SELF_UNSURE/)
  })
})
