/** Real data for tests, where the machine has them: the folder that ZOARIUM_FIXTURES names. */
import fs from 'node:fs'
import path from 'node:path'

/** Skips the tests of the surrounding `describe` with a line where there are no fixtures. */
export function needsFixtures(): void {
  before(function () {
    if (process.env.ZOARIUM_FIXTURES) return
    console.log('      skipped: ZOARIUM_FIXTURES is not set')
    this.skip()
  })
}

/** Path of a fixture. */
export const fixturePath = (...names: string[]): string =>
  path.join(process.env.ZOARIUM_FIXTURES ?? '', ...names)

export const readFixture = (...names: string[]): unknown =>
  JSON.parse(fs.readFileSync(fixturePath(...names), 'utf8'))
