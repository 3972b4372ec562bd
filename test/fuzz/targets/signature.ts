/** Signatures: those of our keys hold, and nothing else does. */
import { concat } from '../../../protocol/bytes.ts'
import type { Verdict } from '../../../protocol/errors.ts'
import { verifyStrict } from '../../../protocol/signature.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { settle, type Target } from '../fuzzer.ts'
import type { Random } from '../random.ts'
import { signBareAs, signers, signerWith } from '../signers.ts'

const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n
const FIELD = 2n ** 255n - 19n
const all = [...signers.values()]

/** Points that verifiers disagree about: of low order, in all spellings, and not canonical. */
const ODD_POINTS: readonly Uint8Array[] = [
  ...[0n, 1n, FIELD - 1n, FIELD, FIELD + 1n, FIELD + 2n, 2n ** 255n - 1n].map((y) => little(y, 32)),
  Buffer.from('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'hex'),
  Buffer.from('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', 'hex'),
]

function little(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, n) => Number((value >> BigInt(8 * n)) & 255n))
}

const numberOf = (bytes: Uint8Array): bigint =>
  BigInt(`0x${Buffer.from(bytes).reverse().toString('hex') || '0'}`)

/** Key, signature and message behind each other. */
function bend(
  key: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
  random: Random,
): Uint8Array {
  const odd = (): Uint8Array => {
    const point = Uint8Array.from(random.pick(ODD_POINTS))
    if (random.once(2)) point[31] = (point[31] ?? 0) | 0x80
    return point
  }
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32)]
  const raised = numberOf(s) + ORDER * BigInt(1 + random.below(7))
  const scalars = [s, little(raised, 32), little(0n, 32), little(ORDER, 32), little(ORDER - 1n, 32)]
  switch (random.below(6)) {
    case 0:
      return concat([key, r, s, message])
    case 1:
      return concat([key, r, random.pick(scalars), message])
    case 2:
      return concat([odd(), random.once(2) ? odd() : r, random.pick(scalars), message])
    case 3:
      return concat([key, odd(), random.pick(scalars), message])
    default:
      return mutateBytes(concat([key, r, s, message]), random)
  }
}

type Verifier = (message: Uint8Array, signature: Uint8Array, key: Uint8Array) => Verdict<true>

/** @param check the verifier, or a weaker one that the fuzzer is to find out */
export const signatureTarget = (check: Verifier = verifyStrict): Target => ({
  name: 'signature',
  share: 60,
  mutant: (random) => {
    const signer = random.pick(all)
    const message = random.bytes(random.below(4))
    const raw = bend(signer.key, signBareAs(signer, message), message, random)
    return { raw, finish: (bytes) => bytes, isSigned: false }
  },
  judge(input) {
    const [key, signature, message] = [
      input.subarray(0, 32),
      input.subarray(32, 96),
      input.subarray(96),
    ]
    return settle(check(message, signature, key), () => {
      const signer = signerWith(key)
      const holds =
        signer !== undefined && Buffer.compare(signBareAs(signer, message), signature) === 0
      return holds ? null : 'not a signature of that key'
    })
  },
})
