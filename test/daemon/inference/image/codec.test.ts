import assert from 'node:assert/strict'
import { ImageCodec, MAX_CODEC_THREADS } from '../../../../daemon/inference/image/codec.ts'
import { encodePng } from '../../../../daemon/inference/image/png.ts'
import { expectOk } from '../../../../protocol/errors.ts'

const LIMITS = { deadlineMs: 10_000 }
const png = encodePng({ width: 2, height: 1, channels: 1, data: Uint8Array.of(1, 2) })

describe('daemon/inference/image/codec', () => {
  let codec: ImageCodec
  beforeEach(() => {
    codec = new ImageCodec()
  })
  afterEach(() => codec.close())

  it('decodes more pictures at once than it has threads, and leaves the bytes', async () => {
    const before = Uint8Array.from(png)
    const jobs = Array.from({ length: MAX_CODEC_THREADS + 2 }, () => codec.decode(png, LIMITS))
    for (const image of await Promise.all(jobs)) {
      assert.deepEqual(expectOk(image).tensor.data, Uint8Array.of(1, 2))
    }
    assert.deepEqual(png, before)
  })

  it('gives up at the deadline or when the client goes, and works on', async () => {
    await assert.rejects(codec.decode(png, { deadlineMs: 0 }), { code: 'TIMEOUT' })
    const controller = new AbortController()
    const jobs = Array.from({ length: MAX_CODEC_THREADS + 1 }, () =>
      assert.rejects(codec.decode(png, { ...LIMITS, signal: controller.signal }), {
        code: 'CANCELLED',
      }),
    )
    controller.abort()
    await Promise.all(jobs)
    expectOk(await codec.decode(png, LIMITS))
  })
})
