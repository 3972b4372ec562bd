/** The encoding: bytes near those of valid values. */
import { type CborValue, decode, encode } from '../../../protocol/cbor.ts'
import type { Verdict } from '../../../protocol/errors.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, type Outcome, settle, type Target } from '../fuzzer.ts'
import { encodeValue, encodeWithSlip, type Value } from '../loose-cbor.ts'
import { type Fault, readEncoded } from '../rules/encoding.ts'
import { bindings, heads, parsed, pool, records } from '../samples.ts'
import { mutateValue } from '../value-mutants.ts'

const SMALL: readonly Value[] = [
  0,
  -1,
  'text',
  [],
  {},
  [1, [2, [3, 'x']], null, true],
  { a: 1, bb: [null, -1], cid: pool.links[0] as Value, ä: 'ö' },
  Array.from({ length: 15 }).reduce<Value>((inner) => [inner], 0),
]
const LARGE = [...records, ...heads, ...bindings].map((envelope) => envelope.subarray(0, -64))
const BYTES = [...SMALL.slice(5).map(encodeValue), ...LARGE]

type Decoder = (bytes: Uint8Array) => Verdict<CborValue>

/**
 * Values with changes and slips of spelling, the rules being asked each time; and bent bytes, of
 * which the rules are asked where they are accepted and now and then.
 *
 * @param read the decoder, or a weaker one that the fuzzer is to find out
 */
export function encodingTargets(read: Decoder = decode): readonly Target[] {
  const judge = (input: Uint8Array, isAlwaysRuled: boolean): Outcome => {
    const verdict = read(input)
    const isRuled = verdict.ok || isAlwaysRuled || input.length % 16 === 0
    const outcome = settle(verdict, isRuled ? () => faultOf(input) : undefined)
    if (verdict.ok && Buffer.compare(encode(verdict.value), input) !== 0) {
      throw new Breach('does not encode to the bytes that it was read from')
    }
    return outcome
  }
  const finish = (bytes: Uint8Array): Uint8Array => bytes
  return [
    {
      name: 'encoding-values',
      share: 100,
      mutant: (random) => {
        const value = random.once(4) ? parsed(random.pick(LARGE)) : random.pick(SMALL)
        const raw = random.once(2)
          ? encodeWithSlip(value, random)
          : mutateValue(value, pool, random)
        return { raw, finish, isSigned: false }
      },
      judge: (input) => judge(input, true),
    },
    {
      name: 'encoding-bytes',
      share: 200,
      mutant: (random) => ({
        raw: mutateBytes(random.pick(BYTES), random),
        finish,
        isSigned: false,
      }),
      judge: (input) => judge(input, false),
    },
  ]
}

function faultOf(input: Uint8Array): Fault {
  const read = readEncoded(input)
  return 'fault' in read ? read.fault : null
}
