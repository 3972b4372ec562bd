import assert from 'node:assert/strict'
import { formatOfAccept, sniffFormat } from '../../../../daemon/inference/image/formats.ts'
import { encodeNpy } from '../../../../daemon/inference/image/npy.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')

describe('daemon/inference/image/formats', () => {
  it('knows formats by their content', () => {
    const npy = encodeNpy({ dtype: 'uint8', axes: [], shape: [0], data: new Uint8Array(0) })
    assert.deepEqual(sniffFormat(npy), { ok: true, value: 'npy' })
    assert.deepEqual(sniffFormat(bytes('\x89PNG\r\n\x1a\n')), { ok: true, value: 'png' })
    for (const head of ['II*\0', 'MM\0*', 'II+\0', 'MM\0+']) {
      assert.deepEqual(sniffFormat(bytes(head)), { ok: true, value: 'tiff' })
    }
  })

  it('says what else it is', () => {
    const refused = sniffFormat(bytes('\xff\xd8\xff\xe0'))
    assert.ok(!refused.ok)
    assert.equal(refused.code, 'FORMAT')
    assert.match(String(refused.got), /JPEG/)
    const empty = sniffFormat(new Uint8Array(0))
    assert.ok(!empty.ok)
    assert.equal(empty.code, 'INPUT_EMPTY')
  })

  it('takes the first format that an Accept header names', () => {
    assert.equal(formatOfAccept('text/html, image/tiff;q=0.9, image/png'), 'tiff')
    assert.equal(formatOfAccept('*/*'), null)
    assert.equal(formatOfAccept(undefined), null)
    assert.equal(formatOfAccept('constructor'), null)
  })
})
