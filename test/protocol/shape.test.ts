import assert from 'node:assert/strict'
import { cidOf } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { statementId } from '../../protocol/shape.ts'

describe('protocol/shape', () => {
  it('writes the id of a statement as its digest, and reads nothing else for one', () => {
    const id = cidOf('dag-cbor', new Uint8Array([1]))
    const digest = statementId.write(id)
    assert.ok(digest instanceof Uint8Array)
    assert.equal(expectOk(statementId.read(digest, 'tip')), id)
    for (const other of [id, null, digest.slice(1), new Uint8Array(33)]) {
      const read = statementId.read(other as never, 'tip')
      assert.deepEqual([read.ok, read.ok || read.code], [false, 'RECORD_INVALID'])
    }
  })
})
