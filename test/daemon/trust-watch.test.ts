import assert from 'node:assert/strict'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { watchTrust } from '../../daemon/trust-watch.ts'
import { readText } from '../../registry/durable-file.ts'
import { TrustBook } from '../../registry/trust-file.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { testRegistry } from '../helpers/test-registry.ts'

describe('daemon/trust-watch', () => {
  const { publisher: own } = new TestPublisher('here')
  const { publisher: embl } = new TestPublisher('embl')
  const ruleOf = (right: string) =>
    `version: 1\nrules:\n  - publisher: ${embl}\n    right: ${right}\n`

  it('takes in what the operator writes, and says what is wrong with it', async () => {
    const folder = temporaryFolder()
    const file = join(folder, 'trust.yaml')
    const trust = new TrustBook({ read: () => readText(file), write: () => {} }, own)
    const { registry } = await testRegistry('here', { trust })
    let told: (line: string) => void = () => {}
    const next = () => new Promise<string>((resolve) => (told = resolve))
    const log = {
      info: (text: string) => told(text),
      error: (_: object, text: string) => told(text),
    } as unknown as Parameters<typeof watchTrust>[0]['log']
    const stop = watchTrust({ registry, log, everyMs: 5 })
    try {
      let line = next()
      writeFileSync(file, ruleOf('list'))
      assert.match(await line, /in force/)
      assert.equal(registry.trust.right(embl), 'list')

      line = next()
      writeFileSync(file, ruleOf('everything'))
      assert.match(await line, /the rules before it stay in force/)
      assert.equal(registry.trust.right(embl), 'list')
      assert.equal(registry.trustFault?.issues?.[0]?.line, 4)

      // As editors save: another file takes its place.
      line = next()
      writeFileSync(`${file}.new`, ruleOf('run'))
      renameSync(`${file}.new`, file)
      assert.match(await line, /in force/)
      assert.equal(registry.trust.right(embl), 'run')
      assert.equal(registry.trustFault, null)
    } finally {
      stop()
    }
  })
})
