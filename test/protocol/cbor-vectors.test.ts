/** The encoding against vectors of others. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/cbor.ts'
import { fixturePath, needsFixtures, readFixture } from '../helpers/fixtures.ts'
import departures from './dasl-departures.json' with { type: 'json' }

interface DaslCase {
  readonly type: 'roundtrip' | 'invalid_in' | 'invalid_out'
  readonly data: string
  readonly name: string
}

/** What a case asks for: to be read and written alike, or to be neither. */
function keeps({ type, data }: DaslCase): boolean {
  const verdict = decode(fromHex(data))
  if (type !== 'roundtrip') return !verdict.ok
  return verdict.ok && toHex(encode(verdict.value)) === data
}

describe('protocol/cbor vectors', () => {
  needsFixtures()

  it('gives the verdicts of the strict DAG-CBOR cases', () => {
    const cases = readFixture('vectors', 'dag-cbor-strict.json') as {
      name: string
      hex: string
      required: string
    }[]
    for (const { name, hex, required } of cases) {
      assert.equal(decode(fromHex(hex)).ok ? 'accept' : 'reject', required, name)
    }
    assert.equal(cases.length, 51)
  })

  it('keeps the DASL cases, but for the departures that are written down', () => {
    const broken: string[] = []
    for (const file of fs.readdirSync(fixturePath('vectors', 'dasl')).sort()) {
      if (!file.endsWith('.json')) continue
      for (const each of readFixture('vectors', 'dasl', file) as DaslCase[]) {
        if (!keeps(each)) broken.push(`${file} ${each.type} ${each.data}`)
      }
    }
    const written = departures.map(({ file, type, data }) => `${file} ${type} ${data}`)
    assert.deepEqual(broken.sort(), written.sort())
  })

  it('cannot write what the DASL cases forbid to write', () => {
    for (const value of [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      undefined,
    ]) {
      assert.throws(() => encode(value as never))
    }
  })
})
