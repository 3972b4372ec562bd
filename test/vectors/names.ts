/** Vectors of bare signatures, and of text that names things: content ids, paths, names, handles. */
import { concat, fromHex, toHex } from '../../protocol/bytes.ts'
import { cidFromDigest } from '../../protocol/cid.ts'
import { publicKeyOf, sha256, signBare } from '../../protocol/crypto.ts'
import { MAX_HANDLE_BYTES } from '../../protocol/limits.ts'
import type { Vector } from './generate.ts'

const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n
const PRIME = 2n ** 255n - 19n
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const littleEndian = (n: bigint): Uint8Array => fromHex(n.toString(16).padStart(64, '0')).toReversed()
const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes.toReversed())}`)

/** `{key, message, signature}`, as the rule has them without the prefix of statements. */
export function signatureVectors(): Vector[] {
  const seed = sha256(utf8('zoarium test vector seed: signature'))
  const key = publicKeyOf(seed)
  const message = utf8('zoarium/v1/record\0payload')
  const signature = new Uint8Array(signBare(message, seed))
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32)]
  const input = (change: { key?: Uint8Array; message?: Uint8Array; signature?: Uint8Array } = {}) => ({
    key: toHex(change.key ?? key),
    message: toHex(change.message ?? message),
    signature: toHex(change.signature ?? signature),
  })
  const identityPoint = littleEndian(1n)
  const orderTwo = littleEndian(PRIME - 1n)
  const twisted = littleEndian(1n + 2n ** 255n)
  return [
    { description: 'a signature', input: input(), expected: true },
    { description: 'over another message', input: input({ message: utf8('payload') }), code: 'SIG_INVALID' },
    { description: 'by another key', input: input({ key: publicKeyOf(sha256(seed)) }), code: 'SIG_INVALID' },
    { description: 'S + L', input: input({ signature: concat([r, littleEndian(numberOf(s) + ORDER)]) }), code: 'SIG_NONCANONICAL' },
    { description: 'S = L', input: input({ signature: concat([r, littleEndian(ORDER)]) }), code: 'SIG_NONCANONICAL' },
    { description: 'S = L - 1, which is in bounds and does not fit', input: input({ signature: concat([r, littleEndian(ORDER - 1n)]) }), code: 'SIG_INVALID' },
    { description: 'R is the neutral point', input: input({ signature: concat([identityPoint, s]) }), code: 'SIG_WEAK' },
    { description: 'R is a point of order 2', input: input({ signature: concat([orderTwo, s]) }), code: 'SIG_WEAK' },
    { description: 'y of R is not below p', input: input({ signature: concat([littleEndian(PRIME + 2n), s]) }), code: 'SIG_WEAK' },
    { description: 'the key is the neutral point; R the same and S zero, which lax rules take', input: input({ key: identityPoint, signature: concat([identityPoint, new Uint8Array(32)]) }), code: 'KEY_WEAK' },
    { description: 'the key is the neutral point with its sign set', input: input({ key: twisted }), code: 'KEY_WEAK' },
    { description: 'the key is all zeros, a point of order 4', input: input({ key: new Uint8Array(32) }), code: 'KEY_WEAK' },
    { description: 'y of the key is not below p', input: input({ key: littleEndian(PRIME + 2n) }), code: 'KEY_NONCANONICAL' },
    { description: 'a key of 31 bytes', input: input({ key: key.subarray(1) }), code: 'KEY_NONCANONICAL' },
    { description: 'a signature of 63 bytes', input: input({ signature: signature.subarray(0, 63) }), code: 'SIG_LENGTH' },
    { description: 'a signature of 65 bytes', input: input({ signature: concat([signature, Uint8Array.of(0)]) }), code: 'SIG_LENGTH' },
    { description: 'no signature', input: input({ signature: new Uint8Array(0) }), code: 'SIG_LENGTH' },
  ]
}

const digest = sha256(utf8('content'))

/** Text, and the codec of the id. */
export function cidVectors(): Vector[] {
  const cid = cidFromDigest('raw', digest)
  const refused = (description: string, input: string, code = 'CID_TEXT'): Vector => ({ description, input, code })
  return [
    { description: 'of a file of one leaf', input: cid, expected: 'raw' },
    { description: 'of a payload', input: cidFromDigest('dag-cbor', digest), expected: 'dag-cbor' },
    { description: 'of a tree or folder', input: cidFromDigest('dag-pb', digest), expected: 'dag-pb' },
    refused('capitals', cid.toUpperCase()),
    refused('mixed capitals', cid.slice(0, 20) + cid.slice(20).toUpperCase()),
    refused('a line feed behind', `${cid}\n`),
    refused('a blank before', ` ${cid}`),
    refused('a path behind', `${cid}/../x`),
    refused('one character less', cid.slice(0, -1)),
    refused('the two bits behind the 36 bytes are set', `${cid.slice(0, -1)}${cid.endsWith('a') ? 'b' : '7'}`),
    refused('version 0, in base58', 'QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n'),
    refused('another base', `f${toHex(concat([Uint8Array.of(1, 0x55, 0x12, 32), digest]))}`),
    refused('BLAKE3', base32(Uint8Array.of(1, 0x55, 0x1e, 32, ...digest)), 'CID_PROFILE'),
    refused('DAG-JSON', base32(Uint8Array.of(1, 0x29, 0x12, 32, ...digest)), 'CID_PROFILE'),
    refused('version 2', base32(Uint8Array.of(2, 0x55, 0x12, 32, ...digest)), 'CID_PROFILE'),
  ]
}

/** RFC 4648 in lower case, without padding, behind `b`. */
function base32(bytes: Uint8Array): string {
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  bits = bits.padEnd(Math.ceil(bits.length / 5) * 5, '0')
  const digits = bits.match(/.{5}/g) ?? []
  return `b${digits.map((each) => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(each, 2)]).join('')}`
}

/** The paths of one package. */
export function pathVectors(): Vector[] {
  const refused = (code: string, description: string, ...input: string[]): Vector => ({ description, input, code })
  return [
    { description: 'plain paths', input: ['rdf.yaml', 'weights/model.onnx'], expected: true },
    { description: '255 bytes', input: ['x'.repeat(255)], expected: true },
    { description: '8 parts', input: ['a/b/c/d/e/f/g/h'], expected: true },
    { description: 'names that only look like devices', input: ['console', 'com10', 'a.con'], expected: true },
    refused('PATH', 'an empty path', ''),
    refused('PATH', '256 bytes', 'x'.repeat(256)),
    refused('PATH', '256 bytes of 128 characters', 'é'.repeat(128)),
    refused('PATH', '9 parts', 'a/b/c/d/e/f/g/h/i'),
    refused('PATH', 'out of its folder', '../../etc/passwd'),
    refused('PATH', 'absolute', '/abs'),
    refused('PATH', 'an empty part', 'a//b'),
    refused('PATH', 'a dot', 'a/./b'),
    refused('PATH', 'backslashes', 'a\\..\\b'),
    refused('PATH', 'a drive', 'C:x'),
    refused('PATH', 'a device', 'CON'),
    refused('PATH', 'a device with an extension', 'weights/lpt¹.bin'),
    refused('PATH', 'a dot at the end', 'a.'),
    refused('PATH', 'a blank at the end of a folder', 'a /b'),
    refused('PATH', 'a NUL', 'a\0'),
    refused('PATH', 'a direction mark', 'a\u202eb'),
    refused('PATH', 'a zero width space', 'a\u200bb'),
    refused('NFC', 'another normal form', 'e\u0301.txt'),
    refused('NAME_CLASH', 'the same but for case', 'Model.bin', 'model.bin'),
    refused('NAME_CLASH', 'the same in upper case', 'ß', 'ss'),
    refused('NAME_CLASH', 'the same but for the normal form', 'é', 'e\u0301'),
    refused('NAME_CLASH', 'a file and a folder', 'x', 'x/y'),
    refused('NAME_CLASH', 'a folder in two spellings', 'Docs/a', 'docs/b'),
    refused('NAME_CLASH', 'the same twice', 'a', 'a'),
  ]
}

/** `{kind, text}`. */
export function nameVectors(): Vector[] {
  const good = (kind: string, description: string, text: string): Vector => ({ description, input: { kind, text }, expected: text })
  const bad = (kind: string, description: string, text: string, code = 'NAME'): Vector => ({ description, input: { kind, text }, code })
  return [
    good('name', 'a name of 64 characters', 'a'.repeat(64)),
    bad('name', 'a name of 65 characters', 'a'.repeat(65)),
    bad('name', 'an empty name', ''),
    bad('name', 'a name with a capital', 'U-net'),
    bad('name', 'a name that begins with a dot', '.a'),
    bad('name', 'a name with an escape sequence', '\u001b[2J'),
    good('version', 'a version', '1.0.0-rc.1+build_5'),
    bad('version', 'a version that begins with a letter', 'v1'),
    bad('version', 'a version of 65 characters', '1'.repeat(65)),
    good('tag', 'a tag of 40 characters', 'a'.repeat(40)),
    bad('tag', 'a tag of 41 characters', 'a'.repeat(41)),
    bad('tag', 'a tag that is found, not set', 'latest'),
    bad('tag', 'a tag that begins with a digit', '1'),
    good('label', 'a label', 'max-planck-1'),
    bad('label', 'a label with a dot', 'a.b'),
    bad('label', 'a label of 41 characters', 'a'.repeat(41)),
    good('handle', 'a handle', 'zoo.example.org'),
    good('handle', 'a handle of parts of one character', 'a.b'),
    good('handle', 'a part of 63 characters', `${'a'.repeat(63)}.example`),
    bad('handle', 'a part of 64 characters', `${'a'.repeat(64)}.example`, 'RECORD_INVALID'),
    bad('handle', 'one part', 'localhost', 'RECORD_INVALID'),
    bad('handle', 'an address', '10.0.0.1', 'RECORD_INVALID'),
    bad('handle', 'a dot at the end', 'example.org.', 'RECORD_INVALID'),
    bad('handle', 'a part that ends in a dash', 'a-.example', 'RECORD_INVALID'),
    bad('handle', 'capitals', 'Example.org', 'RECORD_INVALID'),
    good('alias', 'an alias', 'Größe der Zelle'),
    bad('alias', 'an empty alias', ''),
    bad('alias', 'blanks around an alias', ' a'),
    bad('alias', 'a line break', 'a\nb'),
    bad('alias', 'a direction mark', 'a\u202eb'),
    bad('alias', 'a byte order mark', '\ufeffa'),
    bad('alias', 'another normal form', 'e\u0301', 'NFC'),
    good('alias', '256 characters outside the first plane', '\u{1f9ec}'.repeat(256)),
    bad('alias', '257 characters', 'a'.repeat(257), 'LIMIT'),
  ]
}

/** Documents of hosts as bytes in hex, and the publisher that they name. */
export function handleVectors(): Vector[] {
  const publisher = cidFromDigest('dag-cbor', digest)
  const hex = (text: string): string => toHex(utf8(text))
  const refused = (description: string, input: unknown, code = 'HANDLE'): Vector => ({
    description,
    input: hex(typeof input === 'string' ? input : JSON.stringify(input)),
    code,
  })
  return [
    { description: 'a document', input: hex(JSON.stringify({ version: 1, publisher })), expected: publisher },
    { description: 'with a field that is passed over', input: hex(JSON.stringify({ version: 1, publisher, more: [] })), expected: publisher },
    refused('no JSON', 'publisher'),
    refused('a list', [1, publisher]),
    refused('no publisher', { version: 1 }),
    refused('the id of a file', { version: 1, publisher: cidFromDigest('raw', digest) }),
    refused('an id in capitals', { version: 1, publisher: publisher.toUpperCase() }),
    refused('no version', { publisher }, 'UNKNOWN_VERSION'),
    refused('a later version', { version: 2, publisher }, 'UNKNOWN_VERSION'),
    refused('too long', JSON.stringify({ version: 1, publisher }).padEnd(MAX_HANDLE_BYTES + 1), 'LIMIT'),
    { description: 'bytes that are not UTF-8', input: 'ff', code: 'HANDLE' },
  ]
}
