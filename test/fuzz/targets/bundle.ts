/** Key bundles: bent as a whole, or with an operation or a draft bent and signed anew. */
import { equalBytes } from '../../../protocol/bytes.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { readIdentity } from '../../../protocol/identity.ts'
import { draftOperation } from '../../../protocol/identity-draft.ts'
import { encodeBundle, readBundle } from '../../../protocol/key-bundle.ts'
import { START } from '../../helpers/publisher.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, settle, type Target } from '../fuzzer.ts'
import type { Random } from '../random.ts'
import { bundleFault } from '../rules/bundle.ts'
import { chain, heads, parsed, pool, publisher } from '../samples.ts'
import { signers } from '../signers.ts'
import { mutateValue } from '../value-mutants.ts'
import { signedAnew, someSigners, sortKeys } from './identity.ts'

const identity = expectOk(readIdentity(chain))
const one = [signers.get('third')?.seed ?? new Uint8Array(32)]
const first = draftOperation(identity, { op: 'succeed', steward: null, ts: START }, one)
const second = draftOperation(first.after, { op: 'succeed', steward: null, ts: START + 1 }, [])
const parts = {
  publisher: publisher.publisher,
  operations: chain,
  drafts: [first, second].map(({ envelope }) => envelope),
  heads,
}
const samples = [encodeBundle(parts), encodeBundle({ ...parts, drafts: [], heads: [] })]

export const bundleTarget: Target = {
  name: 'key bundle',
  // It reads a whole chain each time.
  share: 4,
  mutant(random) {
    if (random.once(2)) return resigned(random)
    const sample = random.pick(samples)
    const raw = random.once(2)
      ? mutateValue(parsed(sample), pool, random)
      : mutateBytes(sample, random)
    return { raw, finish: (bytes) => bytes, isSigned: false }
  },
  judge(input) {
    const verdict = readBundle(input)
    if (verdict.ok && !equalBytes(encodeBundle(verdict.value), input)) {
      throw new Breach('does not encode to the bytes that it was read from')
    }
    return settle(verdict, () => bundleFault(input))
  },
}

/** A draft whose payload is bent, signed by some. */
function resigned(random: Random) {
  const at = random.below(parts.drafts.length)
  // SAFE: within the list.
  const { p } = parsed(parts.drafts[at] as Uint8Array) as unknown as { p: Uint8Array }
  const raw = mutateValue(parsed(p), pool, random, sortKeys)
  const signing = random.once(3) ? [] : someSigners(random.next())
  const finish = (payload: Uint8Array): Uint8Array => {
    const drafts = parts.drafts.map((draft, n) => (n === at ? signedAnew(payload, signing) : draft))
    return encodeBundle({ ...parts, drafts })
  }
  return { raw, finish, isSigned: true }
}
