/** Identity chains as docs/protocol.md has them, one operation after the other. */
import { createHash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { encodeValue, type Value } from '../loose-cbor.ts'
import { isSignedBy } from '../signers.ts'
import { type Fault, readEncoded } from './encoding.ts'
import * as is from './grammar.ts'
import { idOf, payloadFields } from './statements.ts'

const DAY = 24 * 3600 * 1000
const MAX_LIFE = 400 * DAY

interface Place {
  readonly epoch: number
  readonly seq: number
  readonly tip: CID
}
interface Device {
  readonly key: string
  notAfter: number
  epoch: number
  isRevoked: boolean
  /** The last cut's place; null: none so far, or one that calls no record good. */
  last: Place | null
}
export interface Chain {
  readonly publisher: string
  readonly length: number
  readonly tip: string
  readonly roots: readonly string[]
  readonly threshold: number
  readonly next: string
  readonly devices: readonly Device[]
}

type Fields = Readonly<Record<string, unknown>>

const hex = (bytes: unknown): string => Buffer.from(bytes as Uint8Array).toString('hex')
const common = { op: is.text(20), n: is.time, prev: is.nullable(is.payload), ts: is.time }
const key = is.bytes(32)
const keySet = { keys: is.list(key, 16), threshold: is.time, next: key }
/** At most 32, each once. */
const ascending = (rule: is.Rule, of: (item: unknown) => string): is.Rule =>
  is.also(is.list(rule, 32), (value) => {
    const texts = (value as unknown[]).map(of)
    const isSorted = texts.every((each, n) => n === 0 || each > (texts[n - 1] ?? ''))
    return isSorted ? null : 'not ascending, or twice'
  })
const last = is.fields({ epoch: is.int(0, 1024), seq: is.int(0, 2 ** 32 - 1), tip: is.payload })
const OPERATIONS: Readonly<Record<string, is.Rule>> = {
  genesis: is.fields({ ...common, ...keySet }),
  rotate: is.fields({ ...common, ...keySet }),
  delegate: is.fields({
    ...common,
    key,
    scope: is.word('publish', 'serve', 'erase'),
    notBefore: is.time,
    notAfter: is.time,
  }),
  confide: is.fields({
    ...common,
    key,
    notBefore: is.time,
    notAfter: is.time,
    audience: is.fields({
      publishers: ascending(is.payload, String),
      rosters: ascending(
        is.fields({ publisher: is.payload, name: is.text(40, /^[a-z0-9-]+$/) }),
        (roster) => {
          const { publisher, name } = roster as { publisher: CID; name: string }
          return `${publisher}/${name}`
        },
      ),
    }),
  }),
  succeed: is.fields({ ...common, steward: is.nullable(is.payload) }),
  renew: is.fields({ ...common, key, notAfter: is.time, last: is.nullable(last) }),
  revoke: is.fields({
    ...common,
    key,
    last: is.nullable(last),
    reason: is.word('superseded', 'lost', 'stolen', 'staff-left'),
  }),
  epoch: is.fields({ ...common, key, last: is.nullable(last) }),
  heal: is.fields({ ...common, key, last }),
}

const envelope = is.fields({
  p: is.bytes(1, 8192),
  s: is.list(
    is.also(is.list(is.bytes(0, 64), 2), (pair) => {
      const [signer, signature] = pair as Uint8Array[]
      return signer?.length === 32 && signature?.length === 64 ? null : 'no key and signature'
    }),
    32,
  ),
})

/**
 * What is wrong with an operation after a chain (null: the first one), or the chain with it.
 * @param isDraft whether further keys may have yet to sign
 */
export function extend(chain: Chain | null, bytes: Uint8Array, isDraft = false): Chain | string {
  if (bytes.length > 8192) return 'too long'
  const read = readEncoded(bytes)
  if ('fault' in read) return read.fault
  const fault = envelope(read.value)
  if (fault !== null) return fault
  const { p: payload, s } = read.value as unknown as {
    p: Uint8Array
    s: [Uint8Array, Uint8Array][]
  }
  const fields = payloadFields('identity', payload)
  if (typeof fields === 'string') return fields
  const after = apply(chain, fields)
  if (typeof after === 'string') return after
  const isKeySet = fields.op === 'genesis' || fields.op === 'rotate'
  const sets = [...(chain === null ? [] : [chain]), ...(isKeySet ? [after] : [])]
  const unsigned = signersFault(sets, payload, s, isDraft)
  const tip = idOf(payload)
  const publisher = chain?.publisher ?? tip
  return unsigned ?? { ...after, publisher, length: (chain?.length ?? 0) + 1, tip }
}

function signersFault(
  sets: readonly Pick<Chain, 'roots' | 'threshold'>[],
  payload: Uint8Array,
  signatures: readonly [Uint8Array, Uint8Array][],
  isDraft: boolean,
): Fault {
  const signers = signatures.map(([signer]) => hex(signer))
  if (signers.some((signer, n) => n > 0 && signer <= (signers[n - 1] ?? ''))) return 'not ascending'
  if (signers.some((signer) => !sets.some(({ roots }) => roots.includes(signer))))
    return 'a stranger'
  const isShort = sets.some(
    ({ roots, threshold }) => signers.filter((signer) => roots.includes(signer)).length < threshold,
  )
  if (isShort && !isDraft) return 'too few'
  return signatures.every((pair) => isSignedBy(pair[0], 'identity', payload, pair[1]))
    ? null
    : 'a signature that does not hold'
}

function apply(chain: Chain | null, fields: Fields): Chain | string {
  const rule = Object.entries(OPERATIONS).find(([op]) => op === fields.op)?.[1]
  const fault = rule === undefined ? 'an unknown operation' : rule(fields)
  if (fault !== null) return fault
  if (fields.n !== (chain?.length ?? 0)) return 'another number'
  if ((fields.n as number) > 1023) return 'too many operations'
  if ((fields.op === 'genesis') !== (chain === null)) return 'genesis is not first, or not once'
  if (String(fields.prev) !== (chain?.tip ?? 'null')) return 'another operation before'
  if (fields.op === 'genesis' || fields.op === 'rotate') return setRoots(chain, fields)
  if (fields.op === 'succeed') {
    return String(fields.steward) === chain?.publisher ? 'its own steward' : (chain as Chain)
  }
  // SAFE: only a genesis comes first.
  return setDevice(chain as Chain, fields)
}

function setRoots(chain: Chain | null, fields: Fields): Chain | string {
  const { keys, threshold } = fields as { keys: Uint8Array[]; threshold: number }
  const roots = keys.map(hex)
  if (threshold < 1 || threshold > roots.length) return 'a threshold out of bounds'
  if (roots.some((root, n) => n > 0 && root <= (roots[n - 1] ?? ''))) return 'keys not ascending'
  if (roots.some(isWeak)) return 'a weak key'
  const commitment = createHash('sha256')
    .update(encodeValue({ keys: keys as unknown as Value, threshold }))
    .digest('hex')
  if (chain !== null && commitment !== chain.next) return 'not what was committed to'
  const devices = chain?.devices ?? []
  if (devices.some((device) => roots.includes(device.key))) return 'a device key as root'
  return { publisher: '', length: 0, tip: '', roots, threshold, next: hex(fields.next), devices }
}

function setDevice(chain: Chain, fields: Fields): Chain | string {
  const named = hex(fields.key)
  if (isWeak(named)) return 'a weak key'
  if (chain.roots.includes(named)) return 'a root key as device'
  const known = chain.devices.find((device) => device.key === named)
  if (fields.op === 'delegate' || fields.op === 'confide') {
    if (known !== undefined) return 'delegated before'
    const { notBefore, notAfter } = fields as { notBefore: number; notAfter: number }
    if (notAfter <= notBefore || notAfter - notBefore > MAX_LIFE) return 'a life out of bounds'
    const device = { key: named, notAfter, epoch: 0, isRevoked: false, last: null }
    return { ...chain, devices: [...chain.devices, device] }
  }
  if (known === undefined) return 'not delegated'
  if (known.isRevoked) return 'revoked'
  const cut = fields.last as Place | null
  if (!isOnward(known, cut)) return 'a cut before the one before'
  const device = { ...known, last: cut ?? known.last }
  if (fields.op === 'renew') {
    const life = (fields.notAfter as number) - known.notAfter
    if (life <= 0 || life > MAX_LIFE) return 'a life out of bounds'
    device.notAfter = fields.notAfter as number
  } else if (fields.op === 'revoke') device.isRevoked = true
  else device.epoch += 1
  return {
    ...chain,
    devices: chain.devices.map((each) => (each === known ? device : each)),
  }
}

/** Cuts only move on, and only to where the key may sign: its epoch, or the place of the cut before. */
function isOnward({ last: before, epoch }: Device, cut: Place | null): boolean {
  if (cut === null) return before === null
  if (cut.epoch > epoch) return false
  if (before === null) return cut.epoch === epoch
  const order = cut.epoch - before.epoch || cut.seq - before.seq
  if (order === 0) return cut.tip.equals(before.tip)
  return order > 0 && cut.epoch === epoch
}

/** Of low order (docs/protocol.md lists them), or a y that is not below 2^255 - 19. */
function isWeak(text: string): boolean {
  const bytes = Buffer.from(text, 'hex')
  bytes[31] = (bytes[31] ?? 0) & 0x7f
  if (LOW_ORDER.includes(bytes.toString('hex'))) return true
  return BigInt(`0x${bytes.reverse().toString('hex')}`) >= 2n ** 255n - 19n
}

const LOW_ORDER = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]
