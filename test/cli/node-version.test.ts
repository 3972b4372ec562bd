import assert from 'node:assert/strict'
import { nodeVersionFault } from '../../cli/node-version.ts'

describe('cli/node-version', () => {
  it('takes 22.18 and newer', () => {
    for (const version of ['22.18.0', '22.19.1', '24.0.0', '100.1.0']) {
      assert.equal(nodeVersionFault(version), null, version)
    }
  })

  it('tells older ones what is needed', () => {
    for (const version of ['20.20.2', '22.17.9', '18.0.0', '21.99.0']) {
      assert.match(String(nodeVersionFault(version)), /22\.18.*NODE_VERSION/, version)
    }
  })
})
