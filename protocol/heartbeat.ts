/**
 * Heartbeats: what a serving node can do right now. docs/protocol.md, "Heartbeats". Hints for
 * choosing the nearest node; every figure is the node's own word.
 */
import { checkSpeaker, peerId } from './binding.ts'
import type { Cid } from './cid.ts'
import type { Verdict } from './errors.ts'
import type { Identity } from './identity.ts'
import {
  MAX_HEARTBEAT_BYTES,
  MAX_HEARTBEAT_MS,
  MAX_HEARTBEAT_SERVES,
  MAX_HEARTBEAT_WARM,
} from './limits.ts'
import { bool, int, key, list, map, type Shape, text } from './shape.ts'
import { living, readStatement, signStatement, statementLink, time } from './statement.ts'

/** A runtime and what it runs on, e.g. `onnx`, `CUDAExecutionProvider`, `NVIDIA H200`. */
export interface EngineSummary {
  readonly name: string
  readonly provider: string
  readonly device: string
}

/** What a node says of itself. */
export interface HeartbeatBody {
  readonly engines: readonly EngineSummary[]
  /** Requests that wait or run. */
  readonly queue: number
  /** Records of models whose session is loaded. */
  readonly warm: readonly Cid[]
  /** Records of models that it holds and may run for others. */
  readonly serves: readonly Cid[]
  /** Measured: microseconds for a megapixel (or a megavoxel) of input. */
  readonly speed: readonly { readonly model: Cid; readonly usPerMegapixel: number }[]
  /** Bytes that sessions may still take. */
  readonly freeMemory: number
  /** Where data stay, in the operator's own words: country, institution, consortium. */
  readonly residency: readonly string[]
  /** Whether it takes input of others at all. */
  readonly acceptsInput: boolean
}

export interface Heartbeat extends HeartbeatBody {
  readonly publisher: Cid
  /** Device key of scope `serve`, 64 hex digits. */
  readonly key: string
  /** libp2p PeerId as text. */
  readonly peer: string
  /** Milliseconds since 1970 UTC. */
  readonly issued: number
  readonly expires: number
}

/** A label of a table: 1 to 64 characters of printable ASCII. */
export const HEARTBEAT_LABEL = /^[\x20-\x7e]{1,64}$/
/** Most labels of residency. */
export const MAX_RESIDENCY = 8
/** Slowest that a model can be said to be: 1 element in a second. */
export const MAX_US_PER_MEGAPIXEL = 1e12

const label = text(64, HEARTBEAT_LABEL)

const shape: Shape<Heartbeat> = living(
  map({
    publisher: statementLink,
    key,
    peer: peerId,
    issued: time,
    expires: time,
    engines: list(map({ name: label, provider: label, device: label }), 16),
    queue: int(0, 1e6),
    warm: list(statementLink, MAX_HEARTBEAT_WARM),
    serves: list(statementLink, MAX_HEARTBEAT_SERVES),
    speed: list(
      map({ model: statementLink, usPerMegapixel: int(1, MAX_US_PER_MEGAPIXEL) }),
      MAX_HEARTBEAT_WARM,
    ),
    freeMemory: time,
    residency: list(label, MAX_RESIDENCY),
    acceptsInput: bool,
  }),
  MAX_HEARTBEAT_MS,
)

/** Signs a heartbeat with the seed of its key; throws where it breaks its own rules. */
export const signHeartbeat = (heartbeat: Heartbeat, seed: Uint8Array): Uint8Array =>
  signStatement('heartbeat', shape, heartbeat, seed, MAX_HEARTBEAT_BYTES)

/** A heartbeat whose signature fits, of whatever publisher it names. */
export const peekHeartbeat = (envelope: Uint8Array): Verdict<Heartbeat> =>
  readStatement('heartbeat', shape, envelope, MAX_HEARTBEAT_BYTES)

/**
 * Reads a heartbeat and checks it against its publisher's identity at a moment.
 * Fails like `readBinding` of binding.ts.
 */
export function readHeartbeat(
  envelope: Uint8Array,
  identity: Identity,
  now: number,
): Verdict<Heartbeat> {
  const read = peekHeartbeat(envelope)
  return read.ok ? checkSpeaker(read.value, identity, now) : read
}
