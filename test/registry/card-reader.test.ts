import assert from 'node:assert/strict'
import { CardReader, readOne } from '../../registry/card-reader.ts'
import { utf8 } from '../helpers/publisher.ts'

describe('registry/card-reader', () => {
  let reader: CardReader
  afterEach(() => reader.close())

  const cards = (count: number): readonly Uint8Array[] =>
    Array.from({ length: count }, (_, n) =>
      utf8(n % 5 === 4 ? `: not: a card ${n}` : `name: Model ${n}\nversion: 1.0.${n}\n`),
    )

  it('reads ahead what it would read at once', async () => {
    reader = new CardReader(2)
    const all = cards(100)
    await reader.readAhead(all)
    assert.ok(reader.threads > 0)
    const readings = all.map((card) => reader.read(card))
    assert.deepEqual(readings, all.map(readOne))
    // They were there already: the same object comes again.
    assert.ok(all.every((card, n) => reader.read(card) === readings[n]))
  })

  it('asks no thread for a few cards, and none where it has none', async () => {
    for (const [threads, count] of [
      [2, 3],
      [0, 50],
    ] as const) {
      reader = new CardReader(threads)
      const all = cards(count)
      await reader.readAhead(all)
      assert.equal(reader.threads, 0)
      assert.deepEqual(
        all.map((card) => reader.read(card)),
        all.map(readOne),
      )
    }
  })

  it('has no more threads than it may, whoever asks', async () => {
    reader = new CardReader(2)
    const asking = Array.from({ length: 5 }, () => reader.readAhead(cards(40)))
    assert.equal(reader.threads, 2)
    await Promise.all(asking)
    assert.equal(reader.threads, 2)
  })

  it('reads at once what a thread was ended over, and reads ahead again', async () => {
    reader = new CardReader(1)
    const all = cards(60)
    const reading = reader.readAhead(all)
    await reader.close()
    await reading
    assert.equal(reader.threads, 0)
    assert.deepEqual(
      all.map((card) => reader.read(card)),
      all.map(readOne),
    )
    const more = cards(20)
    await reader.readAhead(more)
    assert.equal(reader.threads, 1)
    assert.deepEqual(
      more.map((card) => reader.read(card)),
      more.map(readOne),
    )
  })
})
