import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeNpy, encodeNpy } from '../../../../daemon/inference/image/npy.ts'
import { decodePng, encodePng } from '../../../../daemon/inference/image/png.ts'
import { decodeTiff } from '../../../../daemon/inference/image/tiff.ts'
import { encodeTiff } from '../../../../daemon/inference/image/tiff-writer.ts'
import type { Tensor } from '../../../../daemon/inference/tensor.ts'
import { expectOk } from '../../../../protocol/errors.ts'

const stack: Tensor = {
  dtype: 'uint16',
  axes: ['time', 'z', 'channel', 'y', 'x'],
  shape: [1, 2, 1, 3, 4],
  data: Uint16Array.from({ length: 24 }, (_, i) => i),
}
const files = {
  npy: { bytes: encodeNpy(stack), decode: decodeNpy },
  png: {
    bytes: encodePng({ width: 4, height: 3, channels: 1, data: new Uint8Array(12) }),
    decode: decodePng,
  },
  tiff: { bytes: expectOk(encodeTiff(stack)), decode: decodeTiff },
}

describe('damaged images', () => {
  for (const [name, { bytes, decode }] of Object.entries(files)) {
    it(`end in a verdict, whatever is wrong with a ${name}`, async () => {
      const place = fc.nat(bytes.length - 1)
      const change = fc.record({ place, value: fc.nat(255) })
      const changes = fc.array(change, { minLength: 1, maxLength: 8 })
      await fc.assert(
        fc.asyncProperty(changes, fc.nat(bytes.length), async (list, length) => {
          const damaged = Uint8Array.from(bytes)
          for (const { place, value } of list) damaged[place] = value
          const whole = await decode(damaged)
          const cut = await decode(damaged.subarray(0, length))
          assert.equal(typeof whole.ok, 'boolean')
          assert.equal(typeof cut.ok, 'boolean')
        }),
        { seed: 11, numRuns: 100 },
      )
    })
  }
})
