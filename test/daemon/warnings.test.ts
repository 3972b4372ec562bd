import assert from 'node:assert/strict'
import { warningsOf } from '../../daemon/warnings.ts'
import { memoryTrust, TrustBook, type TrustFile } from '../../registry/trust-file.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { testRegistry } from '../helpers/test-registry.ts'

describe('daemon/warnings', () => {
  const { publisher: own } = new TestPublisher('here')

  it('name each fault of the policy file with its field and line', async () => {
    const file: TrustFile = memoryTrust()
    const { registry } = await testRegistry('here', { trust: new TrustBook(file, own) })
    assert.deepEqual(warningsOf(registry, null), [])
    file.write('version: 1\nrules:\n  - publisher: x\n    right: all\n')
    registry.reloadTrust()
    const hint = 'the rules of before the change stay in force'
    assert.deepEqual(warningsOf(registry, null), [
      {
        code: 'POLICY',
        message: 'trust.yaml line 3: rules[0].publisher must be a publisher id',
        field: 'rules[0].publisher',
        line: 3,
        got: 'x',
        hint,
      },
      {
        code: 'POLICY',
        message: 'trust.yaml line 4: rules[0].right must be one of see, list, mirror, run',
        field: 'rules[0].right',
        line: 4,
        got: 'all',
        hint,
      },
    ])
    file.write('version: 1\nrules: [\n')
    registry.reloadTrust()
    const [syntax, ...more] = warningsOf(registry, null)
    assert.match(syntax?.message ?? '', /^trust\.yaml line \d+: not valid YAML: [^:]+$/)
    assert.deepEqual(more, [])
    file.write('version: 1\nrules: []\n')
    registry.reloadTrust()
    assert.deepEqual(warningsOf(registry, null), [])
  })
})
