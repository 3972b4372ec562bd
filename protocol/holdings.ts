/**
 * Holdings: which models a node says it holds in full. docs/protocol.md, "Holdings".
 *
 * A statement names all of them, or what has changed since an earlier one that does (its base), so
 * that a change costs what it weighs. Either way the newest statement and its base say everything:
 * nothing depends on what came between, whoever passes them on.
 */
import { checkSpeaker, peerId } from './binding.ts'
import { compareBytes, concat } from './bytes.ts'
import { type Cid, cidFromDigest, cidOf, digestOf } from './cid.ts'
import { accept, refuse, type Verdict } from './errors.ts'
import type { Identity } from './identity.ts'
import {
  MAX_BLOB_BYTES,
  MAX_HOLDINGS_BYTES,
  MAX_HOLDINGS_CHANGES,
  MAX_HOLDINGS_MODELS,
  MAX_HOLDINGS_MS,
} from './limits.ts'
import { bytes, int, key, map, nullable, type Shape } from './shape.ts'
import { living, readStatement, signStatement, statementLink, time } from './statement.ts'

const DIGEST_BYTES = 32

export interface Holdings {
  readonly publisher: Cid
  /** Device key of scope `serve`, 64 hex digits. */
  readonly key: string
  /** libp2p PeerId as text. */
  readonly peer: string
  /** Milliseconds since 1970 UTC. */
  readonly issued: number
  readonly expires: number
  /** The statement that this one changes; null: this one names all. */
  readonly base: Cid | null
  /** Model records that are held; beside a base, those that it does not name. */
  readonly models: readonly Cid[]
  /** Those of the base that are held no more. */
  readonly gone: readonly Cid[]
  /** Bytes of others' files that the node would still take to keep models from getting lost. */
  readonly room: number
}

/** Record ids in the order of their digests, each once; on the wire the digests, one after the other. */
const records = (max: number): Shape<readonly Cid[]> => {
  const shape = bytes(0, max * DIGEST_BYTES)
  return {
    read(value, field) {
      const read = shape.read(value, field)
      if (!read.ok) return read
      const wrong = (message: string) => refuse('RECORD_INVALID', message, { field })
      if (read.value.length % DIGEST_BYTES !== 0) return wrong('digests are of 32 bytes each')
      const digests = split(read.value)
      const isAscending = digests.every((each, n) => {
        const before = digests[n - 1]
        return before === undefined || compareBytes(before, each) < 0
      })
      if (!isAscending) return wrong('digests are not in order, or stand there twice')
      return accept(digests.map((each) => cidFromDigest('dag-cbor', each)))
    },
    write: (value) => concat(value.map(digestOf)),
  }
}

function split(digests: Uint8Array): readonly Uint8Array[] {
  const all: Uint8Array[] = []
  for (let at = 0; at < digests.length; at += DIGEST_BYTES) {
    all.push(digests.subarray(at, at + DIGEST_BYTES))
  }
  return all
}

/** Ids in the order in which a statement names them. */
export const inOrder = (models: Iterable<Cid>): readonly Cid[] =>
  [...models]
    .map((record) => ({ record, digest: digestOf(record) }))
    .sort((a, b) => compareBytes(a.digest, b.digest))
    .map(({ record }) => record)

/** The shape without what holds between its fields. */
const fields: Shape<Holdings> = living(
  map({
    publisher: statementLink,
    key,
    peer: peerId,
    issued: time,
    expires: time,
    base: nullable(statementLink),
    models: records(MAX_HOLDINGS_MODELS),
    gone: records(MAX_HOLDINGS_CHANGES),
    room: int(0, 1024 * MAX_BLOB_BYTES),
  }),
  MAX_HOLDINGS_MS,
)

const shape: Shape<Holdings> = {
  read(value, field) {
    const read = fields.read(value, field)
    if (!read.ok) return read
    const { base, models, gone } = read.value
    if (base === null && gone.length > 0) {
      return refuse('RECORD_INVALID', 'nothing is gone from a statement that names all', {
        field: 'gone',
      })
    }
    if (base !== null && models.length > MAX_HOLDINGS_CHANGES) {
      return refuse('LIMIT', 'too many changes', {
        field: 'models',
        limit: MAX_HOLDINGS_CHANGES,
        got: models.length,
      })
    }
    return read
  },
  write: fields.write,
}

/** Signs a statement with the seed of its key; throws where it breaks its own rules. */
export const signHoldings = (holdings: Holdings, seed: Uint8Array): Uint8Array =>
  signStatement('holdings', shape, holdings, seed, MAX_HOLDINGS_BYTES)

/** A statement whose signature fits, of whatever publisher it names. */
export const peekHoldings = (envelope: Uint8Array): Verdict<Holdings> =>
  readStatement('holdings', shape, envelope, MAX_HOLDINGS_BYTES)

/** What a statement is named by, in items and as a base: the content id of its payload. */
export const holdingsId = (envelope: Uint8Array): Cid =>
  cidOf('dag-cbor', envelope.subarray(0, -SIGNATURE_BYTES))

const SIGNATURE_BYTES = 64

/** Everything that a node says it holds, at a moment. */
export interface StatedHoldings {
  readonly holdings: Holdings
  readonly id: Cid
  /** All that are held. */
  readonly models: ReadonlySet<Cid>
  /** The newest statement. */
  readonly current: Uint8Array
  /** The one that it changes; null: none. */
  readonly base: Uint8Array | null
}

/**
 * Reads the newest statement of a node with its base, and checks it against its publisher's identity
 * at a moment. Fails like `readBinding` of binding.ts, with RECORD_INVALID where they do not belong
 * together, and LIMIT.
 */
export function readHoldings(
  current: Uint8Array,
  base: Uint8Array | null,
  identity: Identity,
  now: number,
): Verdict<StatedHoldings> {
  const peeked = peekHoldings(current)
  const read = peeked.ok ? checkSpeaker(peeked.value, identity, now) : peeked
  if (!read.ok) return read
  const holdings = read.value
  const id = holdingsId(current)
  if (holdings.base === null) {
    return accept({ holdings, id, models: new Set(holdings.models), current, base: null })
  }
  const based = base === null ? null : peekHoldings(base)
  if (based !== null && !based.ok) return based
  const isBase =
    base !== null &&
    based !== null &&
    holdingsId(base) === holdings.base &&
    based.value.base === null &&
    based.value.publisher === holdings.publisher &&
    based.value.key === holdings.key
  if (!isBase) {
    return refuse('RECORD_INVALID', 'not the statement that this one changes', {
      field: 'base',
      limit: holdings.base,
    })
  }
  const models = new Set(based.value.models)
  for (const each of holdings.gone) models.delete(each)
  for (const each of holdings.models) models.add(each)
  if (models.size > MAX_HOLDINGS_MODELS) {
    return refuse('LIMIT', 'a node names too many models', {
      field: 'models',
      limit: MAX_HOLDINGS_MODELS,
      got: models.size,
    })
  }
  return accept({ holdings, id, models, current, base })
}

/** What a node says next. */
export interface NextHoldings {
  readonly speaker: Pick<Holdings, 'publisher' | 'key' | 'peer'>
  readonly issued: number
  readonly expires: number
  readonly models: ReadonlySet<Cid>
  readonly room: number
}

/**
 * The statement that follows what was said before: a change of its base where that is short, all of
 * it otherwise.
 */
export function nextHoldings(next: NextHoldings, before: StatedHoldings | null): Holdings {
  const { speaker, issued, expires, models, room } = next
  const common = { ...speaker, issued, expires, room }
  const all: Holdings = { ...common, base: null, models: inOrder(models), gone: [] }
  if (before === null || !isOf(before, speaker)) return all
  const { named, base } = baseOf(before)
  const added = [...models].filter((each) => !named.has(each))
  const gone = [...named].filter((each) => !models.has(each))
  const isShort = added.length <= MAX_HOLDINGS_CHANGES && gone.length <= MAX_HOLDINGS_CHANGES
  if (!isShort || added.length + gone.length >= models.size) return all
  return { ...common, base, models: inOrder(added), gone: inOrder(gone) }
}

const isOf = (
  { holdings }: StatedHoldings,
  { publisher, key, peer }: NextHoldings['speaker'],
): boolean => holdings.publisher === publisher && holdings.key === key && holdings.peer === peer

/** The statement that names all, and what it names. */
function baseOf({ holdings, id, models, base }: StatedHoldings): {
  readonly named: ReadonlySet<Cid>
  readonly base: Cid
} {
  if (holdings.base === null || base === null) return { named: models, base: id }
  const named = new Set(models)
  for (const each of holdings.models) named.delete(each)
  for (const each of holdings.gone) named.add(each)
  return { named, base: holdings.base }
}
