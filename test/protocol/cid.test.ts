import assert from 'node:assert/strict'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import {
  type Codec,
  checkCid,
  cidFromDigest,
  cidOf,
  codecOf,
  digestOf,
  fingerprintOf,
  isContentOf,
  linkOf,
  parseCid,
} from '../../protocol/cid.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { utf8 } from '../helpers/publisher.ts'

const codecs: readonly Codec[] = ['raw', 'dag-cbor', 'dag-pb']
const cid = cidOf('raw', utf8('hello'))
const codeOf = (text: string): string => {
  const verdict = parseCid(text)
  return verdict.ok ? 'ok' : verdict.code
}

describe('protocol/cid', () => {
  it('shows 80 bits of a digest to people', () => {
    const cid = cidOf('dag-cbor', new Uint8Array())
    assert.match(fingerprintOf(cid), /^[a-z2-7]{4}( [a-z2-7]{4}){3}$/)
    assert(cid.includes(fingerprintOf(cid).replaceAll(' ', '')))
  })

  it('writes and reads ids as multiformats does', () => {
    const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(fc.constantFrom(...codecs), digest, (codec, digest) => {
        const cid = cidFromDigest(codec, digest)
        const link = CID.parse(cid)
        assert.equal(link.toString(), cid)
        assert(linkOf(cid).equals(link))
        assert.deepEqual(checkCid(link), { ok: true, value: cid })
        assert.deepEqual(parseCid(cid), { ok: true, value: cid })
        assert.equal(codecOf(cid), codec)
        assert.deepEqual(digestOf(cid), digest)
      }),
    )
  })

  it('names bytes by their SHA-256', () => {
    assert.equal(cid, 'bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq')
    assert.deepEqual(digestOf(cid), new Uint8Array(sha256(utf8('hello'))))
    assert.equal(isContentOf(cid, utf8('hello')), true)
    assert.equal(isContentOf(cid, utf8('hallo')), false)
  })

  it('refuses every other spelling of an id', () => {
    const last = cid.slice(0, -1)
    for (const text of [
      '',
      cid.toUpperCase(),
      cid.slice(0, 10) + cid.slice(10).toUpperCase(),
      `${cid}\n`,
      ` ${cid}`,
      `${cid}/../x`,
      `${last}f`, // the two bits beyond the 36 bytes set
      last,
      'x'.repeat(100_000),
      'QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n',
      linkOf(cid).toV1().toString().replace('b', 'z'),
    ]) {
      assert.equal(codeOf(text), 'CID_TEXT', text.slice(0, 80))
    }
  })

  it('refuses ids outside the profile', () => {
    // BLAKE3, identity-like, another codec, another version: 36 bytes each, so 59 characters.
    for (const bytes of [
      [1, 0x55, 0x1e, 32],
      [1, 0x55, 0x11, 32],
      [1, 0x72, 0x12, 32],
      [2, 0x55, 0x12, 32],
      [1, 0x55, 0x12, 31],
    ]) {
      const text = base32(Uint8Array.from([...bytes, ...new Array(32).fill(7)]))
      assert.equal(codeOf(text), 'CID_PROFILE', text)
    }
    const short = CID.parse('bafkqaaa')
    const verdict = checkCid(short)
    assert.equal(verdict.ok ? 'ok' : verdict.code, 'CID_PROFILE')
  })
})

/** RFC 4648 without padding, behind `b`. */
function base32(bytes: Uint8Array): string {
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  bits = bits.padEnd(Math.ceil(bits.length / 5) * 5, '0')
  const digits = bits.match(/.{5}/g) ?? []
  return `b${digits.map((each) => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(each, 2)]).join('')}`
}
