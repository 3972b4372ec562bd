/** Mutants of decoded values: fields dropped, added, renamed, of other types, at and past bounds. */
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { mutateBytes } from './byte-mutants.ts'
import { encodeValue, encodeWithSlip, type Value } from './loose-cbor.ts'
import type { Random } from './random.ts'
import { mutateText } from './text-mutants.ts'

/** What else stands in values of the same kind, so that mutants come near to valid ones. */
export interface Pool {
  readonly words: readonly string[]
  readonly keys: readonly Uint8Array[]
  readonly links: readonly CID[]
}

const DAY = 24 * 3600 * 1000
/** Bounds of the protocol, each at the limit and one past it. */
const BOUNDS = [
  0,
  1,
  2,
  8,
  16,
  23,
  24,
  32,
  64,
  100,
  128,
  255,
  256,
  500,
  1000,
  1023,
  1024,
  10_000,
  65_535,
  65_536,
  1_000_000,
  1_048_576,
  2 ** 32 - 1,
  10 ** 12,
  20 * 2 ** 30,
  86_400_000,
  7 * DAY,
  400 * DAY,
  5 * 60_000,
  Number.MAX_SAFE_INTEGER,
]
const STEPS = [1, 1000, 5 * 60_000, 600_000, DAY, 7 * DAY, 400 * DAY]
const CODECS = [0x55, 0x70, 0x71, 0x72, 0x00]
const WEAK_KEY = Uint8Array.of(1, ...new Array<number>(31).fill(0))

/**
 * The encoding of a value with one to three changes; sometimes of the very value, so that what is
 * valid is seen to be accepted, and sometimes with a slip in the encoding only.
 *
 * @param repair puts right what the changes left inconsistent, such as an order or a digest
 */
export function mutateValue(
  value: Value,
  pool: Pool,
  random: Random,
  repair: (value: Value) => Value = (each) => each,
): Uint8Array {
  const copy = { root: clone(value) }
  if (random.once(40)) return encodeValue(copy.root)
  if (random.once(8)) return encodeWithSlip(copy.root, random)
  for (let n = random.below(3); n >= 0; n--) changeOne(copy, pool, random)
  const repaired = random.once(2) ? repair(copy.root as Value) : (copy.root as Value)
  return random.once(12) ? mutateBytes(encodeValue(repaired), random) : encodeValue(repaired)
}

function clone(value: Value): Value {
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Uint8Array || value instanceof CID) return value
  if (Array.isArray(value)) return value.map(clone)
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, clone(each)]))
}

type Holder = { [key: string]: Value } | Value[]

/** Changes one slot, each as likely as the other. */
function changeOne(copy: { root: Value }, pool: Pool, random: Random): void {
  let chosen: [holder: Holder, key: string | number] = [copy as unknown as Holder, 'root']
  let seen = 1
  const visit = (holder: Holder, key: string | number, value: Value): void => {
    if (random.once(seen++)) chosen = [holder, key]
    if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) visit(value, index, item)
    } else if (isPlain(value))
      for (const [name, each] of Object.entries(value)) visit(value, name, each)
  }
  if (Array.isArray(copy.root)) {
    for (const [index, item] of copy.root.entries()) visit(copy.root, index, item)
  } else if (isPlain(copy.root)) {
    for (const [name, each] of Object.entries(copy.root)) visit(copy.root, name, each)
  }
  const [holder, key] = chosen
  const slots = holder as { [key: string]: Value }
  if (random.once(12) && !Array.isArray(holder)) {
    if (random.once(2)) delete slots[key]
    else
      slots[random.pick(['x', 'note', 'cid', 'z'.repeat(64), ...pool.words])] = slots[key] as Value
    return
  }
  slots[key] = change(slots[key], pool, random)
}

const isPlain = (value: Value): value is { [key: string]: Value } =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Uint8Array) &&
  !(value instanceof CID)

function change(value: Value, pool: Pool, random: Random): Value {
  if (random.once(10)) return ofAnotherType(pool, random)
  if (typeof value === 'number') {
    const bound = random.once(2) ? value : random.pick(BOUNDS)
    return bound + random.pick([-1, 0, 1]) * (random.once(2) ? 1 : random.pick(STEPS))
  }
  if (typeof value === 'boolean') return !value
  if (typeof value === 'string') {
    return random.once(3) ? random.pick(pool.words) : mutateText(value, random)
  }
  if (value instanceof CID) {
    return random.once(3) ? relink(value, random) : random.pick(pool.links)
  }
  if (value instanceof Uint8Array) {
    if (value.length === 32 && random.once(2)) return random.pick([...pool.keys, WEAK_KEY])
    return mutateBytes(value, random)
  }
  if (Array.isArray(value)) return changeList(value, random)
  if (isPlain(value)) return { ...value, [random.pick(pool.words)]: null }
  return ofAnotherType(pool, random)
}

function ofAnotherType(pool: Pool, random: Random): Value {
  const choices: readonly (() => Value)[] = [
    () => null,
    () => true,
    () => random.pick(BOUNDS),
    () => -1,
    () => random.pick(pool.words),
    () => random.pick(pool.keys),
    () => random.pick(pool.links),
    () => [],
    () => ({}),
    () => 2n ** 53n,
    () => 0.5,
    () => undefined,
  ]
  return random.pick(choices)()
}

function changeList(items: Value[], random: Random): Value[] {
  const at = random.below(items.length)
  const [item = null] = items.slice(at, at + 1)
  switch (random.below(5)) {
    case 0:
      return items.toSpliced(at, 1)
    case 1:
      return items.toSpliced(at, 0, item)
    case 2:
      return items.toReversed()
    case 3:
      return []
    default:
      // As many as a bound allows, or one more.
      return Array.from(
        { length: random.pick([2, 8, 16, 32, 64, 128]) + random.below(2) },
        () => item,
      )
  }
}

function relink(link: CID, random: Random): CID {
  const digest = Uint8Array.from(link.multihash.digest)
  if (random.once(3)) digest[random.below(32)] = random.next() & 255
  const hash = random.once(6) ? 0x11 : 0x12
  const cut = random.once(6) ? digest.subarray(0, 20) : digest
  return CID.createV1(random.pick(CODECS), Digest.create(hash, cut))
}
