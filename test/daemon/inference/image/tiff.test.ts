import assert from 'node:assert/strict'
import { deflateSync, zstdCompressSync } from 'node:zlib'
import { decodeTiff, MAX_PAGES, stackAxes } from '../../../../daemon/inference/image/tiff.ts'
import { TIFF_CODECS } from '../../../../daemon/inference/image/tiff-codecs.ts'
import { encodeTiff } from '../../../../daemon/inference/image/tiff-writer.ts'
import { allocate, type Tensor } from '../../../../daemon/inference/tensor.ts'
import { expectOk } from '../../../../protocol/errors.ts'
import type { Dtype } from '../../../../protocol/model-description.ts'

type Tags = Readonly<Record<number, number | readonly number[]>>

/** A little-endian TIFF of one strip a page; tags may be replaced. */
function tiffOf(pages: readonly { block: Uint8Array; tags: Tags }[], description = ''): Buffer {
  const text = Buffer.from(`${description}\0`)
  const parts: Buffer[] = [Buffer.from([0x49, 0x49, 42, 0]), Buffer.alloc(4), text]
  let end = 8 + text.length
  const blocksAt = pages.map(({ block }) => {
    parts.push(Buffer.from(block))
    end += block.length
    return end - block.length
  })
  if (end % 2 === 1) {
    parts.push(Buffer.alloc(1))
    end++
  }
  parts[1]?.writeUInt32LE(end)
  pages.forEach(({ block, tags }, i) => {
    const all: Record<number, number | readonly number[]> = {
      258: 8,
      259: 1,
      262: 1,
      273: blocksAt[i] ?? 0,
      277: 1,
      279: block.length,
      ...tags,
    }
    const entries = Object.entries(all).map(([tag, value]) => {
      const entry = Buffer.alloc(12)
      entry.writeUInt16LE(Number(tag))
      const values = typeof value === 'number' ? [value] : value
      entry.writeUInt16LE(values.length > 1 ? 3 : 4, 2)
      entry.writeUInt32LE(values.length, 4)
      if (values.length === 1) entry.writeUInt32LE(values[0] ?? 0, 8)
      else for (const [k, v] of values.entries()) entry.writeUInt16LE(v, 8 + 2 * k)
      return entry
    })
    if (i === 0 && description !== '') {
      const entry = Buffer.alloc(12)
      entry.writeUInt16LE(270)
      entry.writeUInt16LE(2, 2)
      entry.writeUInt32LE(text.length, 4)
      entry.writeUInt32LE(8, 8)
      entries.push(entry)
    }
    entries.sort((a, b) => a.readUInt16LE(0) - b.readUInt16LE(0))
    const count = Buffer.alloc(2)
    count.writeUInt16LE(entries.length)
    end += 6 + entries.length * 12
    const next = Buffer.alloc(4)
    next.writeUInt32LE(i === pages.length - 1 ? 0 : end)
    parts.push(count, ...entries, next)
  })
  return Buffer.concat(parts)
}

const size = (width: number, height: number, more: Tags = {}): Tags => ({
  256: width,
  257: height,
  278: height,
  ...more,
})
const decoded = async (bytes: Uint8Array) => expectOk(await decodeTiff(bytes))
async function refusal(bytes: Uint8Array) {
  const verdict = await decodeTiff(bytes)
  assert.ok(!verdict.ok)
  return verdict
}

/** LZW as TIFF has it: codes of 9 to 12 bits, early change, a clear code when the table is full. */
function lzw(bytes: Uint8Array): Uint8Array {
  const out: number[] = []
  let [held, count] = [0, 0]
  const put = (code: number, width: number): void => {
    held = (held << width) | code
    for (count += width; count >= 8; count -= 8) out.push((held >> (count - 8)) & 255)
    held &= (1 << count) - 1
  }
  let table = new Map<string, number>()
  let width = 9
  put(256, width)
  let word = ''
  const codeOf = (text: string): number =>
    text.length === 1 ? text.charCodeAt(0) : (table.get(text) ?? 0)
  for (const byte of bytes) {
    const longer = word + String.fromCharCode(byte)
    if (longer.length === 1 || table.has(longer)) {
      word = longer
      continue
    }
    put(codeOf(word), width)
    const next = 258 + table.size
    table.set(longer, next)
    if (next === 4094) {
      put(256, width)
      table = new Map()
      width = 9
    } else if (next + 1 >= 1 << width) width++
    word = String.fromCharCode(byte)
  }
  if (word !== '') put(codeOf(word), width)
  put(257, width)
  put(0, 7)
  return Uint8Array.from(out)
}

function noise(length: number): Uint8Array {
  let state = 1
  return Uint8Array.from({ length }, () => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    return (state >> 16) & 15
  })
}

describe('daemon/inference/image/tiff', () => {
  it('gives back what the writer writes, for every element type that it takes', async () => {
    const types: Dtype[] = [
      'uint8',
      'int8',
      'uint16',
      'int16',
      'uint32',
      'int32',
      'float32',
      'float64',
    ]
    for (const dtype of types) {
      const data = allocate(dtype, 2 * 3 * 4 * 5 * 6)
      for (let i = 0; i < data.length; i++) data[i] = (i % 100) as never
      const tensor: Tensor = {
        dtype,
        axes: ['time', 'z', 'channel', 'y', 'x'],
        shape: [2, 3, 4, 5, 6],
        data,
      }
      const image = await decoded(expectOk(encodeTiff(tensor)))
      assert.deepEqual(image.tensor, tensor)
      assert.equal(image.isStackGuessed, false)
    }
  })

  it('leaves out axes of size 1', async () => {
    const data = Uint8Array.of(1, 2, 3, 4)
    const tensor: Tensor = { dtype: 'uint8', axes: [], shape: [1, 1, 1, 2, 2], data }
    assert.deepEqual((await decoded(expectOk(encodeTiff(tensor)))).tensor.axes, ['y', 'x'])
  })

  const pixels = noise(40_000)
  const compressed: [number, Uint8Array][] = [
    [5, lzw(pixels)],
    [8, deflateSync(pixels)],
    [32946, deflateSync(pixels)],
    [50000, zstdCompressSync(pixels)],
    [32773, packBits(pixels)],
  ]
  for (const [compression, block] of compressed) {
    it(`reads compression ${compression}`, async () => {
      const bytes = tiffOf([{ block, tags: size(200, 200, { 259: compression }) }])
      assert.deepEqual((await decoded(bytes)).tensor.data, pixels)
    })

    it(`unpacks compression ${compression} to no more than its block may hold`, () => {
      const decode = TIFF_CODECS.get(compression)
      assert.ok(decode)
      let length = 0
      try {
        length = decode(block, 1000).length
      } catch {
        // zlib refuses instead of stopping.
      }
      assert.ok(length <= 1000)
    })
  }

  it('takes pages as a stack, and only those of the size of the first', async () => {
    const page = (value: number) => ({ block: new Uint8Array(6).fill(value), tags: size(3, 2) })
    const thumbnail = { block: Uint8Array.of(9), tags: size(1, 1) }
    const { tensor, isStackGuessed } = await decoded(tiffOf([page(1), thumbnail, page(2)]))
    assert.deepEqual(tensor.axes, ['z', 'y', 'x'])
    assert.deepEqual(tensor.shape, [2, 2, 3])
    assert.deepEqual([...tensor.data], [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2])
    assert.equal(isStackGuessed, true)
  })

  it('takes samples as channels, the extra one as opacity', async () => {
    const block = Uint8Array.of(1, 2, 3, 4)
    const tags = { 258: [8, 8], 277: 2, 338: 2 }
    const image = await decoded(tiffOf([{ block, tags: size(2, 1, tags) }]))
    assert.deepEqual(image.tensor.shape, [1, 2, 2])
    assert.equal(image.hasAlpha, true)
  })

  it('names axes by the metadata of OME and ImageJ', () => {
    const ome =
      '<OME><Image><Pixels DimensionOrder="XYZCT" SizeX="9" SizeY="9" SizeC="2" SizeZ="3" SizeT="1"/></Image></OME>'
    assert.deepEqual(
      stackAxes(ome, 6).map(({ axis, size }) => [axis, size]),
      [
        ['channel', 2],
        ['z', 3],
      ],
    )
    const imageJ = 'ImageJ=1.53\nimages=6\nchannels=2\nframes=3\n'
    assert.deepEqual(
      stackAxes(imageJ, 6).map(({ axis, size }) => [axis, size]),
      [
        ['time', 3],
        ['channel', 2],
      ],
    )
    // Metadata that does not go with the pages is not believed.
    assert.deepEqual(stackAxes(imageJ, 5), [{ axis: 'z', size: 5, isGuessed: true }])
  })

  it('refuses too many pixels before they are decoded', async () => {
    const block = new Uint8Array(4)
    const bomb = await refusal(tiffOf([{ block, tags: size(65_000, 65_000, { 259: 8 }) }]))
    assert.equal(bomb.code, 'PIXELS')
    const tall = await refusal(tiffOf([{ block, tags: size(10_000, 10_001) }]))
    assert.equal(tall.code, 'PIXELS')
    const strips = await refusal(tiffOf([{ block, tags: { 256: 1, 257: 100_000, 278: 1 } }]))
    assert.equal(strips.code, 'LIMIT')
  })

  it('ends with a directory that points at itself', async () => {
    const bytes = tiffOf([{ block: Uint8Array.of(1), tags: size(1, 1) }])
    bytes.writeUInt32LE(bytes.readUInt32LE(4), bytes.length - 4)
    const refused = await refusal(bytes)
    assert.deepEqual([refused.code, refused.limit], ['LIMIT', MAX_PAGES])
  })

  it('refuses what it cannot read right', async () => {
    const block = new Uint8Array(4)
    const jpeg = await refusal(tiffOf([{ block, tags: size(2, 2, { 259: 7 }) }]))
    assert.equal(jpeg.code, 'FORMAT')
    assert.equal((await refusal(tiffOf([{ block, tags: size(2, 2, { 258: 1 }) }]))).code, 'FORMAT')
    assert.equal((await refusal(tiffOf([{ block, tags: size(0, 2) }]))).code, 'IMAGE')
    assert.equal((await refusal(tiffOf([{ block, tags: size(200, 200) }]))).code, 'IMAGE')
    const good = tiffOf([{ block, tags: size(2, 2) }])
    for (let length = 8; length < good.length; length += 5) {
      assert.equal((await decodeTiff(good.subarray(0, length))).ok, false)
    }
  })

  it('refuses elements that TIFF does not hold', () => {
    const data = new BigInt64Array(1)
    const verdict = encodeTiff({ dtype: 'int64', axes: [], shape: [1, 1, 1, 1, 1], data })
    assert.ok(!verdict.ok)
    assert.equal(verdict.code, 'FORMAT')
  })
})

/** Runs where bytes repeat, literals elsewhere. */
function packBits(bytes: Uint8Array): Uint8Array {
  const out: number[] = []
  for (let at = 0; at < bytes.length; ) {
    let run = 1
    while (run < 128 && bytes[at + run] === bytes[at]) run++
    if (run > 1) out.push(257 - run, bytes[at] ?? 0)
    else out.push(0, bytes[at] ?? 0)
    at += run
  }
  return Uint8Array.from(out)
}
