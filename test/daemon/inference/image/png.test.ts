import assert from 'node:assert/strict'
import { crc32, deflateSync } from 'node:zlib'
import { encode } from 'fast-png'
import { MAX_PIXELS } from '../../../../daemon/inference/image/image.ts'
import { decodePng, encodePng } from '../../../../daemon/inference/image/png.ts'
import { expectOk } from '../../../../protocol/errors.ts'

interface Parts {
  readonly width: number
  readonly height: number
  readonly depth?: number
  readonly colour?: number
  readonly interlace?: number
  /** Filtered rows, before compression. */
  readonly raw?: Uint8Array
  readonly palette?: Uint8Array
  readonly before?: readonly (readonly [string, Uint8Array])[]
}

function pngOf(parts: Parts): Buffer {
  const { width, height, depth = 8, colour = 0, interlace = 0 } = parts
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width)
  header.writeUInt32BE(height, 4)
  header.set([depth, colour, 0, 0, interlace], 8)
  const chunks: [string, Uint8Array][] = [
    ['IHDR', header],
    ...((parts.before ?? []) as [string, Uint8Array][]),
    ...(parts.palette ? [['PLTE', parts.palette] as [string, Uint8Array]] : []),
    ['IDAT', deflateSync(parts.raw ?? new Uint8Array(0))],
    ['IEND', new Uint8Array(0)],
  ]
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    ...chunks.flatMap(([type, content]) => {
      const named = Buffer.concat([Buffer.from(type), content])
      const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
      length.writeUInt32BE(content.length)
      checksum.writeUInt32BE(crc32(named))
      return [length, named, checksum]
    }),
  ])
}

const decoded = async (bytes: Uint8Array) => expectOk(await decodePng(bytes))
async function refusal(bytes: Uint8Array) {
  const verdict = await decodePng(bytes)
  assert.ok(!verdict.ok)
  return verdict
}

describe('daemon/inference/image/png', () => {
  it('gives back gray and colour of 8 and 16 bits', async () => {
    for (const channels of [1, 3] as const) {
      for (const Samples of [Uint8Array, Uint16Array]) {
        const step = Samples === Uint8Array ? 13 : 13 * 251
        const data = new Samples(6 * channels).map((_: number, i: number) => i * step)
        const { tensor, hasAlpha } = await decoded(
          encodePng({ width: 3, height: 2, channels, data }),
        )
        assert.deepEqual(tensor.axes, channels === 1 ? ['y', 'x'] : ['y', 'x', 'channel'])
        assert.deepEqual(tensor.shape, channels === 1 ? [2, 3] : [2, 3, 3])
        assert.deepEqual(tensor.data, data)
        assert.equal(hasAlpha, false)
      }
    }
  })

  it('names opacity', async () => {
    const rows = Uint8Array.of(0, 1, 2, 3, 4)
    const { tensor, hasAlpha } = await decoded(pngOf({ width: 2, height: 1, colour: 4, raw: rows }))
    assert.deepEqual([...tensor.data], [1, 2, 3, 4])
    assert.equal(hasAlpha, true)
  })

  it('spreads gray of few bits over 0 to 255', async () => {
    const bits = await decoded(
      pngOf({ width: 3, height: 2, depth: 1, raw: Uint8Array.of(0, 0b1010_0000, 0, 0b0100_0000) }),
    )
    assert.deepEqual([...bits.tensor.data], [255, 0, 255, 0, 255, 0])
    const two = await decoded(
      pngOf({ width: 4, height: 1, depth: 2, raw: Uint8Array.of(0, 0b00_01_10_11) }),
    )
    assert.deepEqual([...two.tensor.data], [0, 85, 170, 255])
  })

  it('turns palettes into RGB', async () => {
    const palette = Uint8Array.of(1, 2, 3, 4, 5, 6)
    const parts = { width: 2, height: 1, depth: 4, colour: 3, palette }
    const { tensor } = await decoded(pngOf({ ...parts, raw: Uint8Array.of(0, 0x10) }))
    assert.deepEqual([...tensor.data], [4, 5, 6, 1, 2, 3])
    assert.equal((await refusal(pngOf({ ...parts, raw: Uint8Array.of(0, 0x20) }))).code, 'IMAGE')
  })

  it('reads interlaced images', async () => {
    const data = Uint8Array.from({ length: 13 * 11 }, (_, i) => i)
    const bytes = encode(
      { width: 13, height: 11, data, depth: 8, channels: 1 },
      { interlace: 'Adam7' },
    )
    assert.deepEqual((await decoded(bytes)).tensor.data, data)
    const raw = new Uint8Array(2)
    assert.equal(
      (await refusal(pngOf({ width: 1, height: 1, depth: 1, interlace: 1, raw }))).code,
      'FORMAT',
    )
  })

  it('refuses too many pixels by the header alone', async () => {
    const bomb = await refusal(pngOf({ width: 20_000, height: 20_000 }))
    assert.deepEqual([bomb.code, bomb.limit, bomb.got], ['PIXELS', MAX_PIXELS, 400_000_000])
    // At the limit it is the missing content that is refused.
    assert.equal((await refusal(pngOf({ width: 10_000, height: 10_000 }))).code, 'IMAGE')
  })

  it('inflates not a byte more than the size says', async () => {
    const bomb = await refusal(pngOf({ width: 1, height: 1, raw: new Uint8Array(10_000_000) }))
    assert.equal(bomb.code, 'IMAGE')
    assert.match(bomb.message, /more/)
    const short = await refusal(pngOf({ width: 2, height: 1, raw: Uint8Array.of(0, 1) }))
    assert.match(short.message, /less/)
  })

  it('does not look into chunks that it does not need', async () => {
    const junk = new Uint8Array(1000).fill(7)
    const bytes = pngOf({
      width: 1,
      height: 1,
      raw: Uint8Array.of(0, 9),
      before: [
        ['iCCP', junk],
        ['tEXt', junk],
      ],
    })
    assert.deepEqual([...(await decoded(bytes)).tensor.data], [9])
  })

  it('refuses damage', async () => {
    const good = pngOf({ width: 2, height: 2, raw: Uint8Array.of(0, 1, 2, 0, 3, 4) })
    assert.equal((await refusal(good.subarray(0, good.length - 1))).code, 'IMAGE')
    for (let at = 8; at < good.length; at++) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] ?? 0) ^ 0x10
      assert.equal((await decodePng(bad)).ok, false, `byte ${at}`)
    }
    assert.equal((await refusal(pngOf({ width: 0, height: 1 }))).code, 'IMAGE')
    assert.equal((await refusal(pngOf({ width: 1, height: 1, colour: 5 }))).code, 'IMAGE')
    const filter = pngOf({ width: 1, height: 1, raw: Uint8Array.of(9, 1) })
    assert.equal((await refusal(filter)).code, 'IMAGE')
  })
})
