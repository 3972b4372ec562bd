/** Mutants of bytes that know nothing of their meaning. */
import { concat } from '../../protocol/bytes.ts'
import type { Random } from './random.ts'

/** Bytes at which formats change their mind: heads of CBOR, ends of ranges, ASCII marks. */
const TURNING = [
  0x00, 0x01, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1f, 0x20, 0x40, 0x58, 0x60, 0x78, 0x7f, 0x80, 0x9f,
  0xa0, 0xbf, 0xc0, 0xd8, 0xf4, 0xf6, 0xf7, 0xf9, 0xfb, 0xff,
]

/** One to three changes. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  let changed = bytes
  for (let n = random.below(3); n >= 0; n--) changed = change(changed, random)
  return changed
}

function change(bytes: Uint8Array, random: Random): Uint8Array {
  const { length } = bytes
  const at = random.below(length + 1)
  const copy = bytes.slice()
  switch (random.below(9)) {
    case 0:
      return put(bytes, at, 0, random.bytes(1 + random.below(4)))
    case 1:
      return put(bytes, at, 1 + random.below(4), NOTHING)
    case 2:
      return bytes.slice(0, at)
    case 3: {
      // A piece once more, somewhere else.
      const end = Math.min(length, at + 1 + random.below(40))
      return put(bytes, random.below(length + 1), 0, bytes.subarray(at, end))
    }
    case 4:
      return put(bytes, at, 0, Uint8Array.of(random.pick(TURNING)))
    case 5:
    case 6:
      if (at < length) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
      return copy
    case 7:
      if (at < length) copy[at] = random.pick(TURNING)
      return copy
    default:
      // Counts and lengths are off by one.
      if (at < length) copy[at] = (copy[at] ?? 0) + (random.once(2) ? 1 : 255)
      return copy
  }
}

const NOTHING = new Uint8Array(0)

function put(bytes: Uint8Array, at: number, removed: number, piece: Uint8Array): Uint8Array {
  return concat([bytes.subarray(0, at), piece, bytes.subarray(at + removed)])
}
