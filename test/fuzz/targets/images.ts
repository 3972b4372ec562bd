/** Images: files of each format, bent; checksums of PNG chunks are put right half of the time. */
import { crc32 } from 'node:zlib'
import type { Image } from '../../../daemon/inference/image/image.ts'
import { MAX_DECODED_BYTES, MAX_PIXELS } from '../../../daemon/inference/image/image.ts'
import { decodeNpy, encodeNpy } from '../../../daemon/inference/image/npy.ts'
import { decodePng, encodePng } from '../../../daemon/inference/image/png.ts'
import { decodeTiff } from '../../../daemon/inference/image/tiff.ts'
import { encodeTiff } from '../../../daemon/inference/image/tiff-writer.ts'
import { countOf, type Tensor } from '../../../daemon/inference/tensor.ts'
import { expectOk, type Verdict } from '../../../protocol/errors.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, settle, type Target } from '../fuzzer.ts'

const stack: Tensor = {
  dtype: 'uint16',
  axes: ['time', 'z', 'channel', 'y', 'x'],
  shape: [1, 2, 1, 3, 4],
  data: Uint16Array.from({ length: 24 }, (_, i) => i),
}
const floats: Tensor = { dtype: 'float32', axes: [], shape: [2, 3], data: new Float32Array(6) }
const png = { width: 5, height: 3, channels: 1, data: new Uint8Array(15) } as const

/** Sets the checksum of each chunk, as far as they can be told. */
function withChecksums(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const view = new DataView(copy.buffer)
  for (let at = 8; at + 12 <= copy.length; ) {
    const length = view.getUint32(at)
    if (at + 12 + length > copy.length) break
    view.setUint32(at + 8 + length, crc32(copy.subarray(at + 4, at + 8 + length)))
    at += 12 + length
  }
  return copy
}

const same = (bytes: Uint8Array): Uint8Array => bytes

function imageTarget(
  name: string,
  share: number,
  samples: readonly Uint8Array[],
  decode: (bytes: Uint8Array) => Verdict<Image> | Promise<Verdict<Image>>,
  finish = same,
): Target {
  return {
    name,
    share,
    mutant: (random) => {
      const isSigned = finish !== same && random.once(2)
      const raw = mutateBytes(random.pick(samples), random)
      return { raw, finish: isSigned ? finish : same, isSigned }
    },
    async judge(input) {
      const verdict = await decode(input)
      if (verdict.ok) {
        const { shape, data } = verdict.value.tensor
        const isWhole = countOf(shape) === data.length && shape.every((size) => size >= 0)
        if (!isWhole) throw new Breach('an image of another size than its shape')
        if (data.byteLength > MAX_DECODED_BYTES || data.length > 4 * MAX_PIXELS) {
          throw new Breach('an image over the bounds')
        }
      }
      return settle(verdict)
    },
  }
}

export const imageTargets: readonly Target[] = [
  imageTarget('npy', 15, [encodeNpy(stack), encodeNpy(floats)], decodeNpy),
  imageTarget(
    'png',
    15,
    [encodePng(png), encodePng({ ...png, channels: 3, data: new Uint8Array(45) })],
    decodePng,
    withChecksums,
  ),
  imageTarget('tiff', 15, [expectOk(encodeTiff(stack))], decodeTiff),
]
