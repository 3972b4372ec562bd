/**
 * Content ids: CIDv1, sha2-256, raw or dag-cbor (dag-pb only in a file's `cid` and a folder's
 * `root`), written as lower-case base32. docs/protocol.md, "Content ids".
 *
 * Everywhere outside the codec a content id is its text, so that it compares, sorts and prints
 * without conversion. All ids of the profile have 36 bytes and 59 characters, so the conversion is
 * written for just that: five times as fast as the general one, and a record holds dozens of ids.
 */
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { sha256 } from './crypto.ts'
import { accept, refuse, type Verdict } from './errors.ts'

export type Cid = string & { readonly __cid: unique symbol }
export type Codec = 'raw' | 'dag-cbor' | 'dag-pb'

/** Version, codec, hash, hash length, 32 bytes. */
export const CID_BYTES = 36
const CODEC_CODES = { raw: 0x55, 'dag-cbor': 0x71, 'dag-pb': 0x70 } as const
const SHA2_256 = 0x12
export const DIGEST_BYTES = 32
const DIGITS = 'abcdefghijklmnopqrstuvwxyz234567'
/** Two digits for each 10 bits. */
const PAIRS = Array.from({ length: 1024 }, (_, n) => `${DIGITS[n >> 5]}${DIGITS[n & 31]}`)
const CID_TEXT = /^b[a-z2-7]{58}$/

/** The content id of `bytes` under `codec`. */
export function cidOf(codec: Codec, bytes: Uint8Array): Cid {
  return cidFromDigest(codec, sha256(bytes))
}

/** The content id whose sha2-256 digest (32 bytes) is already known. */
export function cidFromDigest(codec: Codec, digest: Uint8Array): Cid {
  const bytes = new Uint8Array(CID_BYTES)
  bytes.set([1, CODEC_CODES[codec], SHA2_256, DIGEST_BYTES])
  bytes.set(digest, CID_BYTES - DIGEST_BYTES)
  return textOfBytes(bytes)
}

/** Reads the text form; refuses every other spelling of the same id. */
export function parseCid(text: string): Verdict<Cid> {
  if (!CID_TEXT.test(text)) {
    return refuse('CID_TEXT', 'not a content id in lower-case base32', {
      got: text.slice(0, 80),
      hint: 'a content id begins with "b" and has 59 characters',
    })
  }
  const bytes = bytesOf(text)
  // 58 digits carry two bits more than 36 bytes have; they must be zero.
  if (textOfBytes(bytes) !== text) {
    return refuse('CID_TEXT', 'not the canonical spelling', { got: text })
  }
  const codec = codecOfBytes(bytes)
  if (codec === null) return refuseProfile(bytes)
  // SAFE: in the profile and canonical.
  return accept(text as Cid)
}

/** Checks a decoded CID against the profile. */
export function checkCid(link: CID): Verdict<Cid> {
  return codecOfBytes(link.bytes) === null
    ? refuseProfile(link.bytes)
    : accept(textOfBytes(link.bytes))
}

/** The codec of a binary CID of the profile, null for every other. */
export function codecOfBytes(bytes: Uint8Array): Codec | null {
  if (bytes.length !== CID_BYTES || bytes[0] !== 1) return null
  if (bytes[2] !== SHA2_256 || bytes[3] !== DIGEST_BYTES) return null
  switch (bytes[1]) {
    case CODEC_CODES.raw:
      return 'raw'
    case CODEC_CODES['dag-cbor']:
      return 'dag-cbor'
    case CODEC_CODES['dag-pb']:
      return 'dag-pb'
    default:
      return null
  }
}

/** The link form of a binary CID of the profile; keeps a view of `bytes`. */
export function linkOfBytes(bytes: Uint8Array): CID {
  const digest = bytes.subarray(CID_BYTES - DIGEST_BYTES)
  const multihash = new Digest.Digest(SHA2_256, DIGEST_BYTES, digest, bytes.subarray(2))
  // SAFE: callers have checked the profile, so the second byte is a codec's code.
  return new CID(1, bytes[1] as number, multihash, bytes)
}

/** The link form that the encoding takes. */
export const linkOf = (cid: Cid): CID => linkOfBytes(bytesOf(cid))

/** The text of a link that was decoded by cbor.ts, which has checked the profile. */
export const cidOfLink = (link: CID): Cid => textOfBytes(link.bytes)

/** Ids of the profile begin with `bafkrei` (raw), `bafyrei` (dag-cbor) or `bafybei` (dag-pb). */
export const codecOf = (cid: Cid): Codec =>
  cid[3] === 'k' ? 'raw' : cid[4] === 'r' ? 'dag-cbor' : 'dag-pb'

/** 80 bits of an id's digest in four groups, for people to compare; not to be relied on alone. */
export const fingerprintOf = (cid: Cid): string =>
  [8, 12, 16, 20].map((at) => cid.slice(at, at + 4)).join(' ')

/** The sha2-256 digest inside, 32 bytes. */
export const digestOf = (cid: Cid): Uint8Array => bytesOf(cid).subarray(CID_BYTES - DIGEST_BYTES)

/** Whether `bytes` are what `cid` names; only for blocks, not for trees. */
export const isContentOf = (cid: Cid, bytes: Uint8Array): boolean =>
  cidOf(codecOf(cid), bytes) === cid

/** The 36 bytes of an id's text. */
export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(CID_BYTES)
  let buffer = 0
  let bits = 0
  let written = 0
  for (let i = 1; written < CID_BYTES; i++) {
    const code = text.charCodeAt(i)
    // `a`-`z` are 0-25, `2`-`7` are 26-31.
    buffer = ((buffer << 5) | (code >= 97 ? code - 97 : code - 24)) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[written++] = buffer >> bits
    }
  }
  return bytes
}

/** `b` and the base32 of 36 bytes. */
function textOfBytes(bytes: Uint8Array): Cid {
  let text = 'b'
  let buffer = 0
  let bits = 0
  for (let i = 0; i < CID_BYTES; i++) {
    // SAFE: callers pass 36 bytes.
    buffer = ((buffer << 8) | (bytes[i] as number)) & 0x3ffff
    bits += 8
    if (bits >= 10) {
      bits -= 10
      text += PAIRS[(buffer >> bits) & 1023]
    }
  }
  // 288 bits are 28 pairs and 8 bits over, which two digits hold with two zero bits behind.
  text += PAIRS[(buffer << 2) & 1023]
  // SAFE: this is the one place where the text form is made.
  return text as Cid
}

function refuseProfile(bytes: Uint8Array): Verdict<Cid> {
  return refuse('CID_PROFILE', 'content id outside the profile', {
    got: Array.from(bytes.subarray(0, 4), (byte) => `0x${byte.toString(16)}`).join(' '),
    limit:
      'CIDv1 (0x1), raw, dag-cbor or dag-pb (0x55 0x71 0x70), sha2-256 (0x12) of 32 bytes (0x20)',
  })
}
