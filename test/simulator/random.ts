/** One seeded source of chance. Nothing in the simulator draws from anywhere else. */

/** xoshiro128**, seeded from text, so that parts of a run have streams of their own. */
export class Random {
  readonly #seed: string
  readonly #state: Uint32Array

  constructor(seed: string) {
    this.#seed = seed
    this.#state = stateOf(seed)
  }

  /** A stream of its own: what else is drawn here does not change it. */
  fork(name: string): Random {
    return new Random(`${this.#seed}/${name}`)
  }

  /** 32 bits. */
  bits(): number {
    const s = this.#state
    // SAFE: the state has four words.
    const [a, b, c, d] = s as unknown as [number, number, number, number]
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const [x, y] = [c ^ a, d ^ b]
    s[0] = a ^ y
    s[1] = b ^ x
    s[2] = x ^ (b << 9)
    s[3] = rotate(y, 11)
    return result
  }

  /** From 0 to below 1. */
  float = (): number => this.bits() / 2 ** 32

  /** From `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.float() * (max - min + 1))
  }

  chance(probability: number): boolean {
    return this.float() < probability
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.int(0, items.length - 1)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }

  /** One of the names, as often as their weights say. */
  weighted<N extends string>(weights: Readonly<Record<N, number>>): N {
    // SAFE: the keys of the record.
    const names = Object.keys(weights) as N[]
    let rest = this.float() * names.reduce((sum, name) => sum + weights[name], 0)
    for (const name of names) {
      rest -= weights[name]
      if (rest < 0) return name
    }
    return this.pick(names)
  }

  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items]
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.int(0, i)
      // SAFE: both lie in the list.
      ;[shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T]
    }
    return shuffled
  }

  /** Some of the items, in any order. */
  sample<T>(items: readonly T[], count: number): T[] {
    return this.shuffle(items).slice(0, count)
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.bits() & 0xff)
  }
}

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k))

/** Four words from a text: FNV-1a with four offsets, each mixed; never all zero. */
function stateOf(seed: string): Uint32Array {
  return Uint32Array.from([0x9e3779b9, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f], (offset) => {
    let hash = 0x811c9dc5 ^ offset
    for (let i = 0; i < seed.length; i++) hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad)
    hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97)
    return (hash ^ (hash >>> 15)) | 1
  })
}
