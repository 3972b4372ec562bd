/**
 * Content ids: CIDv1, sha2-256, raw or dag-cbor (dag-pb only in a file's `cid` and a folder's
 * `root`), written as lower-case base32. docs/protocol.md, "Content ids".
 *
 * Everywhere outside the codec a content id is its text, so that it compares, sorts and prints
 * without conversion.
 */
import * as Digest from 'multiformats/hashes/digest'
import { base32 } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import { sha256 } from './crypto.ts'
import { accept, refuse, type Verdict } from './errors.ts'

export type Cid = string & { readonly __cid: unique symbol }
export type Codec = 'raw' | 'dag-cbor' | 'dag-pb'

const CODEC_CODES = { raw: 0x55, 'dag-cbor': 0x71, 'dag-pb': 0x70 } as const
const CODEC_NAMES = new Map<number, Codec>(
  Object.entries(CODEC_CODES).map(([name, code]) => [code, name as Codec]),
)
const SHA2_256 = 0x12
/** `b` and the base32 of 36 bytes: version, codec, hash code, length, 32 bytes. */
const CID_TEXT = /^b[a-z2-7]{58}$/

/** The content id of `bytes` under `codec`. */
export function cidOf(codec: Codec, bytes: Uint8Array): Cid {
  return cidFromDigest(codec, sha256(bytes))
}

/** The content id whose sha2-256 digest (32 bytes) is already known. */
export function cidFromDigest(codec: Codec, digest: Uint8Array): Cid {
  return toText(CID.createV1(CODEC_CODES[codec], Digest.create(SHA2_256, digest)))
}

/** Reads the text form; refuses every other spelling of the same id. */
export function parseCid(text: string): Verdict<Cid> {
  if (!CID_TEXT.test(text)) {
    return refuse('CID_TEXT', 'not a content id in lower-case base32', {
      got: text.slice(0, 80),
      hint: 'a content id begins with "b" and has 59 characters',
    })
  }
  let cid: CID
  try {
    cid = CID.parse(text, base32)
  } catch {
    return refuse('CID_TEXT', 'not a content id in lower-case base32', { got: text })
  }
  if (toText(cid) !== text) return refuse('CID_TEXT', 'not the canonical spelling', { got: text })
  return checkCid(cid)
}

/** Checks a decoded CID against the profile. */
export function checkCid(cid: CID): Verdict<Cid> {
  const { version, code, multihash } = cid
  if (version !== 1 || !CODEC_NAMES.has(code) || multihash.code !== SHA2_256 || multihash.size !== 32) {
    return refuse('CID_PROFILE', 'content id outside the profile', {
      got: `version ${version}, codec 0x${code.toString(16)}, hash 0x${multihash.code.toString(16)}`,
      limit: 'CIDv1, raw, dag-cbor or dag-pb, sha2-256 of 32 bytes',
    })
  }
  return accept(toText(cid))
}

const toText = (cid: CID): Cid => cid.toString(base32) as Cid

/** The link form that the encoding takes. */
export const linkOf = (cid: Cid): CID => CID.parse(cid, base32)

export const codecOf = (cid: Cid): Codec =>
  // SAFE: a Cid was checked against the profile when it was made.
  CODEC_NAMES.get(linkOf(cid).code) as Codec

/** The sha2-256 digest inside, 32 bytes. */
export const digestOf = (cid: Cid): Uint8Array => linkOf(cid).multihash.digest

/** Whether `bytes` are what `cid` names; only for blocks, not for trees. */
export const isContentOf = (cid: Cid, bytes: Uint8Array): boolean => cidOf(codecOf(cid), bytes) === cid
