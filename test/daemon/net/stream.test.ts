import assert from 'node:assert/strict'
import type { Stream } from '@libp2p/interface'
import { streamPair } from '@libp2p/utils'
import * as fc from 'fast-check'
import { FrameStream } from '../../../daemon/net/stream.ts'

const failure = (code: string) => (error: Error & { code?: string }) => error.code === code
const bytes = (length: number, first = 0) =>
  Uint8Array.from({ length }, (_, i) => (first + i) & 255)
const head = (length: number) => {
  const part = new Uint8Array(4)
  new DataView(part.buffer).setUint32(0, length)
  return part
}

describe('daemon/net/stream', () => {
  /** Both ends of a stream, the second raw. */
  async function pair(): Promise<[FrameStream, FrameStream, Stream]> {
    const [one, two] = await streamPair()
    return [new FrameStream(one), new FrameStream(two), two]
  }
  /** One end as frames, the other as a peer that does what it likes. */
  async function half(): Promise<[FrameStream, Stream]> {
    const [one, two] = await streamPair()
    return [new FrameStream(one), two]
  }

  it('carries frames of any length, however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 6 }),
        fc.integer({ min: 1, max: 1500 }),
        async (lengths, cut) => {
          const [frames, raw] = await half()
          const sent = lengths.map((length, i) => bytes(length, i))
          const wire = Buffer.concat(sent.flatMap((each) => [head(each.length), each]))
          for (let at = 0; at < wire.length; at += cut) raw.send(wire.subarray(at, at + cut))
          void raw.close()
          for (const each of sent) {
            assert.deepEqual(Buffer.from((await frames.read(3000, 1000)) ?? []), Buffer.from(each))
          }
          assert.equal(await frames.read(3000, 1000), null)
        },
      ),
      { numRuns: 20 },
    )
  })

  it('takes a frame at the limit and refuses one byte more before it is kept', async () => {
    const [frames, raw] = await half()
    raw.send(head(100))
    raw.send(bytes(100))
    assert.equal((await frames.read(100, 1000))?.length, 100)
    raw.send(head(101))
    await assert.rejects(frames.read(100, 1000), failure('LIMIT'))
    assert.equal(raw.status === 'open' && frames.closed.aborted === false, false)
  })

  it('refuses a frame of 4 GiB without waiting for it', async () => {
    const [frames, raw] = await half()
    raw.send(head(0xffffffff))
    await assert.rejects(frames.read(1 << 21, 1000), failure('LIMIT'))
  })

  it('leaves a peer that sends nothing, at the deadline', async () => {
    const [frames] = await half()
    await assert.rejects(frames.read(100, 20), failure('TIMEOUT'))
    await assert.rejects(frames.write(bytes(1), 20), failure('TIMEOUT'))
  })

  it('leaves a peer that sends drop by drop, at the deadline of the frame', async () => {
    const [frames, raw] = await half()
    raw.send(head(1000))
    const drip = setInterval(() => raw.status === 'open' && raw.send(bytes(1)), 5)
    try {
      await assert.rejects(frames.read(1000, 60), failure('TIMEOUT'))
    } finally {
      clearInterval(drip)
    }
  })

  it('tells an end inside a frame from an end between frames', async () => {
    const [frames, raw] = await half()
    raw.send(head(10))
    raw.send(bytes(3))
    void raw.close()
    await assert.rejects(frames.read(10, 1000), failure('PEER'))
    const [other, rawOther] = await half()
    rawOther.send(head(10).subarray(0, 2))
    void rawOther.close()
    await assert.rejects(other.read(10, 1000), failure('PEER'))
    const [third, rawThird] = await half()
    void rawThird.close()
    assert.equal(await third.read(10, 1000), null)
    await assert.rejects(third.expect(10, 1000), failure('PEER'))
  })

  it('does not take a stream that was reset before for one that ended', async () => {
    const [one] = await streamPair()
    one.abort(new Error('gone'))
    await assert.rejects(new FrameStream(one).read(10, 1000), failure('PEER'))
  })

  it('hands out what came before a reset, then says that it was reset', async () => {
    const [frames, raw] = await half()
    raw.send(Buffer.concat([head(3), bytes(3), head(3)]))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal((await frames.read(10, 1000))?.length, 3)
    raw.abort(new Error('no more'))
    await assert.rejects(frames.read(10, 1000), failure('PEER'))
    assert.equal(frames.closed.aborted, true)
  })

  it('makes the sender wait while nobody reads', async () => {
    const [frames, reader] = await pair()
    const total = 8 << 20
    let sent = 0
    const sending = (async () => {
      for (; sent < total; sent += 1 << 18) await frames.write(new Uint8Array(1 << 18), 5000)
    })()
    await reader.expect(1 << 18, 1000)
    // Read slowly: what is on its way stays bounded.
    let most = 0
    for (let got = 1 << 18; got < total; got += 1 << 18) {
      most = Math.max(most, sent - got)
      await reader.expect(1 << 18, 1000)
    }
    await sending
    assert.ok(most <= 3 << 20, `${most} bytes on their way`)
  })

  it('carries a body of any length, and bounds it', async () => {
    const [one, two] = await pair()
    const body = bytes((1 << 20) + 17)
    const sending = one.writeBody(body, 1000)
    const parts: Uint8Array[] = []
    for await (const part of two.readBody(body.length, 1000)) parts.push(part)
    await sending
    assert.ok(Buffer.concat(parts).equals(body))

    one.writeBody(bytes(11), 1000).catch(() => {})
    const read = async () => {
      for await (const _ of two.readBody(10, 1000));
    }
    await assert.rejects(read(), failure('LIMIT'))
  })

  it('sends a frame from parts and notices a wrong length', async () => {
    const [one, two] = await pair()
    async function* parts(...lengths: number[]) {
      for (const length of lengths) yield bytes(length)
    }
    await one.writeParts(7, parts(3, 4), 1000)
    assert.equal((await two.expect(10, 1000)).length, 7)
    await assert.rejects(one.writeParts(7, parts(3), 1000), failure('INTERNAL'))
    await assert.rejects(one.writeParts(7, parts(3, 5), 1000), failure('INTERNAL'))
  })

  it('drops what nobody wants until the other side ends', async () => {
    const [one, two] = await pair()
    const done = two.discard(5000)
    await one.write(new Uint8Array(2 << 20), 1000)
    await one.close(1000)
    await done
    assert.ok(two.received >= 2 << 20)
  })
})
