/** Chains of identity operations: an operation after those before it, bent or signed anew. */
import { equalBytes } from '../../../protocol/bytes.ts'
import type { Verdict } from '../../../protocol/errors.ts'
import { extendIdentity, type Identity } from '../../../protocol/identity.ts'
import {
  openOperation,
  readOperation,
  sealOperation,
} from '../../../protocol/identity-operation.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, settle, type Target } from '../fuzzer.ts'
import { encodeValue, type Value } from '../loose-cbor.ts'
import { type Chain, extend } from '../rules/identity.ts'
import { chain, parsed, pool } from '../samples.ts'
import { type Signer, signAs, signers, signerWith } from '../signers.ts'
import { mutateValue } from '../value-mutants.ts'

/** The identity before each operation, as the decoder and as the rules have it. */
interface Stage {
  readonly operation: Uint8Array
  readonly identity: Identity | null
  readonly ruled: Chain | null
  /** Who signed it. */
  readonly signers: readonly Signer[]
}

const stages: readonly Stage[] = makeStages()

function makeStages(): Stage[] {
  const made: Stage[] = []
  let identity: Identity | null = null
  let ruled: Chain | null = null
  for (const operation of chain) {
    const { s } = parsed(operation) as unknown as { s: [Uint8Array, Uint8Array][] }
    const signed = s.flatMap(([key]) => signerWith(key) ?? [])
    made.push({ operation, identity, ruled, signers: signed })
    const extended: Verdict<Identity> = extendIdentity(identity, operation)
    const after: Chain | string = extend(ruled, operation)
    if (!extended.ok || typeof after === 'string') {
      throw new TypeError(`the sample chain breaks a rule: ${JSON.stringify([extended, after])}`)
    }
    identity = extended.value
    ruled = after
  }
  return made
}

type Extend = (identity: Identity | null, envelope: Uint8Array) => Verdict<Identity>

/** The place of the stage travels before the operation, so that an input says all. */
export const identityTarget = (read: Extend = extendIdentity): Target => ({
  name: 'identity',
  share: 100,
  mutant(random) {
    const at = random.below(stages.length)
    // SAFE: within the list.
    const { operation, signers: usual } = stages[at] as Stage
    const prefix = (bytes: Uint8Array): Uint8Array => Buffer.concat([Buffer.of(at), bytes])
    const { p } = parsed(operation) as unknown as { p: Uint8Array }
    if (random.once(2)) {
      const raw = random.once(2)
        ? mutateValue(parsed(operation), pool, random)
        : mutateBytes(operation, random)
      return { raw, finish: prefix, isSigned: false }
    }
    const raw = mutateValue(parsed(p), pool, random, sortKeys)
    const signing = random.once(4) ? someSigners(random.next()) : usual
    return { raw, finish: (payload) => prefix(signedAnew(payload, signing)), isSigned: true }
  },
  judge(input) {
    const { identity, ruled } = stages[input[0] ?? 0] as Stage
    const operation = input.subarray(1)
    const verdict = read(identity, operation)
    if (verdict.ok && !equalBytes(again(operation), operation)) {
      throw new Breach('does not encode to the bytes that it was read from')
    }
    return settle(verdict, () => {
      const after = extend(ruled, operation)
      return typeof after === 'string' ? after : null
    })
  },
})

/** A choice of all signers, one by each bit. */
export const someSigners = (bits: number): Signer[] =>
  [...signers.values()].filter((_, n) => ((bits >> n) & 1) === 1)

/** An operation of a payload with the signatures of some. */
export function signedAnew(payload: Uint8Array, signing: readonly Signer[]): Uint8Array {
  const pairs = signing.map((each): Value => [each.key, signAs(each, 'identity', payload)])
  const sorted = pairs.toSorted((a, b) =>
    // SAFE: pairs of bytes.
    Buffer.compare((a as Uint8Array[])[0] as Uint8Array, (b as Uint8Array[])[0] as Uint8Array),
  )
  return encodeValue({ p: payload, s: sorted })
}

/** What was read, sealed once more by the same keys. */
function again(envelope: Uint8Array): Uint8Array {
  const opened = openOperation(envelope)
  const operation = opened.ok ? readOperation(opened.value.fields) : opened
  if (!opened.ok || !operation.ok) throw new Breach('accepted, and cannot be opened')
  const seeds = opened.value.signatures.map(([key]) => signerWith(key)?.seed ?? new Uint8Array(32))
  return sealOperation(operation.value, seeds)
}

/** Root keys stand in order, so a mutant with others sorts them. */
export function sortKeys(value: Value): Value {
  const keys = (value as { keys?: Value } | null)?.keys
  if (Array.isArray(keys) && keys.every((key) => key instanceof Uint8Array)) {
    keys.sort((a, b) => Buffer.compare(a as Uint8Array, b as Uint8Array))
  }
  return value
}
