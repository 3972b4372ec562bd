/** Records of each kind, heads, bindings, heartbeats, holdings: as they came and signed anew. */
import type { CID } from 'multiformats/cid'
import { peekBinding, signBinding } from '../../../protocol/binding.ts'
import { concat, equalBytes } from '../../../protocol/bytes.ts'
import type { Verdict } from '../../../protocol/errors.ts'
import { readHead, signHead } from '../../../protocol/head.ts'
import { peekHeartbeat, signHeartbeat } from '../../../protocol/heartbeat.ts'
import { peekHoldings, signHoldings } from '../../../protocol/holdings.ts'
import { readRecord, type SignedRecord, signRecord } from '../../../protocol/record.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, type Mutant, settle, type Target } from '../fuzzer.ts'
import type { Value } from '../loose-cbor.ts'
import type { Random } from '../random.ts'
import { folderOf } from '../rules/content.ts'
import { readEncoded } from '../rules/encoding.ts'
import { isMap } from '../rules/grammar.ts'
import { idOf, type StatementType, statementFault } from '../rules/statements.ts'
import { bindings, heads, heartbeats, holdings, parsed, pool, records } from '../samples.ts'
import { type Signer, signAs, signers, signerWith } from '../signers.ts'
import { mutateValue } from '../value-mutants.ts'

const SIGNATURE_BYTES = 64

/** Half of the mutants are payloads that are signed anew; the others are envelopes, bent as they are. */
export function envelopeMutant(
  type: StatementType,
  envelope: Uint8Array,
  random: Random,
  repair?: (value: Value) => Value,
): Mutant {
  const payload = envelope.subarray(0, -SIGNATURE_BYTES)
  if (random.once(2)) {
    const raw = random.once(3)
      ? concat([
          mutateValue(parsed(payload), pool, random, repair),
          envelope.subarray(-SIGNATURE_BYTES),
        ])
      : mutateBytes(envelope, random)
    return { raw, finish: (bytes) => bytes, isSigned: false }
  }
  const raw = mutateValue(parsed(payload), pool, random, repair)
  return {
    raw,
    finish: (bytes) => concat([bytes, signAs(signerOf(bytes), type, bytes)]),
    isSigned: true,
  }
}

/** By the key that a payload names, where that is one of ours. */
function signerOf(payload: Uint8Array): Signer {
  const read = readEncoded(payload)
  const key = 'value' in read && isMap(read.value) ? read.value.key : null
  const named = key instanceof Uint8Array ? signerWith(key) : undefined
  // SAFE: there is one of that name.
  return named ?? (signers.get('publish') as Signer)
}

/** Sets the order of files and the root right, so that what was changed besides is looked at. */
function repairModel(value: Value): Value {
  const record = value as { body?: { files?: Value; root?: Value } } | null
  const files = record?.body?.files
  if (!Array.isArray(files)) return value
  const entries = files as unknown as { path: string; size: number; cid: CID }[]
  const isSound = entries.every(
    (each) =>
      typeof each?.path === 'string' &&
      Number.isSafeInteger(each.size) &&
      each.size >= 0 &&
      each.size <= 2 ** 31 &&
      each.cid?.bytes,
  )
  if (!isSound) return value
  entries.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
  const root = folderOf(entries)
  if (root !== null && record?.body) record.body.root = root
  return value
}

type Reader<T> = (envelope: Uint8Array) => Verdict<T>

/** @param again signs what was read once more, with the seed of its key */
function statementTarget<T>(
  name: string,
  share: number,
  type: StatementType,
  samples: readonly Uint8Array[],
  read: Reader<T>,
  again: (value: T, seed: Uint8Array) => Uint8Array,
): Target {
  return {
    name,
    share,
    mutant: (random) => envelopeMutant(type, random.pick(samples), random, repairModel),
    judge(input) {
      const verdict = read(input)
      const outcome = settle(verdict, () => statementFault(type, input))
      if (verdict.ok) {
        const payload = input.subarray(0, -SIGNATURE_BYTES)
        if (!equalBytes(again(verdict.value, signerOf(payload).seed), input)) {
          throw new Breach('does not encode to the bytes that it was read from')
        }
      }
      return outcome
    },
  }
}

const KINDS = ['model', 'withdraw', 'tag', 'profile', 'attest', 'roster'] as const

/** @param read the decoder, or a weaker one that the fuzzer is to find out */
export const recordTargets = (read: Reader<SignedRecord> = readRecord): readonly Target[] =>
  KINDS.map((kind, n) =>
    // SAFE: there is a sample of each kind, in this order.
    statementTarget(
      `record-${kind}`,
      kind === 'model' ? 60 : 25,
      'record',
      [records[n] as Uint8Array],
      read,
      (signed, seed) => {
        if (signed.id !== idOf(signed.envelope.subarray(0, -SIGNATURE_BYTES)))
          throw new Breach('another id')
        return signRecord(signed.record, seed).envelope
      },
    ),
  )

export const statementTargets: readonly Target[] = [
  ...recordTargets(),
  statementTarget('head', 30, 'head', heads, readHead, ({ head }, seed) => signHead(head, seed)),
  statementTarget('binding', 30, 'binding', bindings, peekBinding, signBinding),
  statementTarget('heartbeat', 30, 'heartbeat', heartbeats, peekHeartbeat, signHeartbeat),
  statementTarget('holdings', 30, 'holdings', holdings, peekHoldings, signHoldings),
]
