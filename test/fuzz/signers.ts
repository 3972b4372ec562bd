/**
 * Key pairs of the fuzzer, and whether a signature is theirs: Ed25519 signatures of one key over one
 * message repeat, so the oracle signs again and compares, and no verifier has a part in it.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import type { SignedType } from '../../protocol/signature.ts'
import { seedOf } from '../helpers/publisher.ts'

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

export interface Signer {
  readonly seed: Uint8Array
  readonly key: Uint8Array
  readonly secret: KeyObject
}

function signerOf(name: string): Signer {
  const seed = seedOf(name)
  const secret = createPrivateKey({
    key: Buffer.concat([PKCS8, seed]),
    format: 'der',
    type: 'pkcs8',
  })
  const spki = createPublicKey(secret).export({ format: 'der', type: 'spki' })
  return { seed, key: new Uint8Array(spki.subarray(-32)), secret }
}

const NAMES = [
  'root',
  'root 2',
  'root 3',
  'next',
  'next 2',
  'third',
  'publish',
  'serve',
  'stranger',
]
/** By name; those of `TestPublisher('fuzz')` among them. */
export const signers: ReadonlyMap<string, Signer> = new Map(
  NAMES.map((name) => [name, signerOf(`fuzz ${name}`)]),
)
export const keys: readonly Uint8Array[] = [...signers.values()].map(({ key }) => key)

/** The pair of a public key, or undefined where it is not the fuzzer's. */
export const signerWith = (key: Uint8Array): Signer | undefined =>
  [...signers.values()].find((each) => Buffer.compare(each.key, key) === 0)

export const signBareAs = ({ secret }: Signer, message: Uint8Array): Uint8Array =>
  new Uint8Array(sign(null, message, secret))

/** A signature as docs/protocol.md, "Signatures", has it. */
export const signAs = (signer: Signer, type: SignedType, payload: Uint8Array): Uint8Array =>
  signBareAs(signer, Buffer.concat([Buffer.from(`zoarium/v1/${type}\0`), payload]))

export function isSignedBy(
  key: Uint8Array,
  type: SignedType,
  payload: Uint8Array,
  signature: Uint8Array,
): boolean {
  const signer = signerWith(key)
  return signer !== undefined && Buffer.compare(signAs(signer, type, payload), signature) === 0
}
