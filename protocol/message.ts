/**
 * Wire messages between nodes. docs/protocol.md, "Messages between nodes".
 *
 * A message is one zoarium-cbor-1 map with its type in `t`. Every field is always there; what does
 * not apply is null. Reading is strict and bounded: an unknown type, field or value is a verdict.
 * Bodies (ranges of blobs, images) travel as raw frames beside messages, see net/stream.ts.
 */
import { type CborValue, decode, encode } from './cbor.ts'
import { accept, CODES, type Code, type Detail, refuse, type Verdict } from './errors.ts'
import {
  MAX_AGENT_CHARS,
  MAX_BLOB_BYTES,
  MAX_FRAME_BYTES,
  MAX_HEARTBEAT_BYTES,
  MAX_IDENTITY_OPS,
  MAX_INFER_BYTES,
  MAX_INFER_TENSORS,
  MAX_LEAF_SET_BYTES,
  MAX_RECORD_BYTES,
  MAX_STATEMENT_BYTES,
  MAX_TREE_NODE_BYTES,
  MAX_TREE_NODES,
  TICKET_BYTES,
} from './limits.ts'
import {
  type AnyShape,
  bool,
  bytes,
  dictionary,
  either,
  int,
  link,
  list,
  map,
  nullable,
  type Shape,
  type ShapeOf,
  text,
  word,
} from './shape.ts'

/** Names under which nodes find each other's handlers; the version is in the name. */
export const PROTOCOLS = {
  hello: '/zoarium/hello/1',
  sync: '/zoarium/sync/1',
  blob: '/zoarium/blob/1',
  infer: '/zoarium/infer/1',
  peers: '/zoarium/peers/1',
  kad: '/zoarium/kad/1.0.0',
} as const

export const TOPICS = { heads: '/zoarium/heads/1', status: '/zoarium/status/1' } as const

const SIGNATURE_BYTES = 64
export const count = int(0, Number.MAX_SAFE_INTEGER)
export const digest = bytes(32, 32)
export const statement = bytes(SIGNATURE_BYTES, MAX_STATEMENT_BYTES + SIGNATURE_BYTES)
const heartbeat = bytes(SIGNATURE_BYTES, MAX_HEARTBEAT_BYTES + SIGNATURE_BYTES)
export const recordEnvelope = bytes(SIGNATURE_BYTES, MAX_RECORD_BYTES + SIGNATURE_BYTES)
const shortText = text(256)

export const FAILURE = map({
  t: word('error'),
  code: text(40, /^[A-Z][A-Z0-9_]*$/),
  message: text(1000),
  field: nullable(text(1000)),
  limit: nullable(either(count, text(1000), (value) => typeof value === 'number')),
  got: nullable(either(count, text(1000), (value) => typeof value === 'number')),
  hint: nullable(text(1000)),
  /** Milliseconds after which another try makes sense. */
  retryAfter: nullable(count),
})

const HELLO = map({
  t: word('hello'),
  /** Versions of this message family that the node speaks. */
  versions: list(int(1, 1000), 8),
  /** Program and version, for operators' eyes. */
  agent: text(MAX_AGENT_CHARS),
  /** Operations of its publisher's identity chain, so that the other side asks for new ones. */
  identityLength: int(0, MAX_IDENTITY_OPS),
  binding: nullable(statement),
  heartbeat: nullable(heartbeat),
  limits: map({
    /** Streams of one protocol that a peer may hold open here. */
    streams: int(0, 1024),
    /** Bytes per second that a peer gets, 0: unlimited. */
    bytesPerSecond: count,
    inferBytes: count,
  }),
})

const leafSet = bytes(0, MAX_LEAF_SET_BYTES)

const BLOB_REQUESTS = {
  'get-tree': map({ t: word('get-tree'), cid: link }),
  /** Answered once more than `known` leaves are here, or after a while. */
  'get-have': map({ t: word('get-have'), cid: link, known: count }),
  /** `insist`: also where it was given to others lately. */
  'get-leaf': map({ t: word('get-leaf'), cid: link, index: count, insist: bool }),
  /** For leaves over HTTPS, at the address that the profile names. */
  'get-ticket': map({ t: word('get-ticket') }),
} as const

const BLOB_REPLIES = {
  /** Inner nodes of the tree, root first; none where the file is one leaf. */
  tree: map({
    t: word('tree'),
    size: int(0, MAX_BLOB_BYTES),
    nodes: list(bytes(0, MAX_TREE_NODE_BYTES), MAX_TREE_NODES),
    have: nullable(leafSet),
  }),
  /** Leaves that are here; null: all. */
  have: map({ t: word('have'), have: nullable(leafSet) }),
  /** The leaf's bytes follow as one body frame. */
  leaf: map({ t: word('leaf'), index: count }),
  /** The leaf was given to others, who may pass it on; so were these. */
  given: map({ t: word('given'), index: count, given: leafSet }),
  /** Stands for the asker in requests over HTTPS. */
  ticket: map({ t: word('ticket'), ticket: bytes(TICKET_BYTES, TICKET_BYTES) }),
  error: FAILURE,
} as const

const INFER_REQUESTS = {
  infer: map({
    t: word('infer'),
    record: link,
    output: nullable(text(16)),
    accept: nullable(shortText),
    /** Milliseconds that the asker waits. */
    deadline: int(1, 24 * 3600 * 1000),
    /** The bodies follow one after the other, in this order. */
    inputs: list(
      map({
        name: nullable(shortText),
        /** Bytes. */
        size: int(0, MAX_INFER_BYTES),
        mediaType: nullable(shortText),
      }),
      MAX_INFER_TENSORS,
    ),
    /** For the receipt's keyed hashes. */
    salt: nullable(bytes(32, 32)),
  }),
} as const

const INFER_REPLIES = {
  result: map({
    t: word('result'),
    mediaType: shortText,
    outputs: list(
      map({
        id: shortText,
        axes: list(text(64), 16),
        shape: list(count, 16),
        dtype: text(16),
      }),
      MAX_INFER_TENSORS,
    ),
    /** Microseconds by step. */
    timings: dictionary(count, 32, /^[a-zA-Z]{1,32}$/),
    notes: list(text(1000), 100),
    /** A signed statement about the run, or null. */
    receipt: nullable(statement),
  }),
  error: FAILURE,
} as const

export type Hello = ShapeOf<typeof HELLO>
export type BlobRequest = ShapeOf<(typeof BLOB_REQUESTS)[keyof typeof BLOB_REQUESTS]>
export type BlobReply = ShapeOf<(typeof BLOB_REPLIES)[keyof typeof BLOB_REPLIES]>
export type InferRequest = ShapeOf<(typeof INFER_REQUESTS)['infer']>
export type InferResult = ShapeOf<(typeof INFER_REPLIES)['result']>
export type InferReply = ShapeOf<(typeof INFER_REPLIES)[keyof typeof INFER_REPLIES]>
export type FailureMessage = ShapeOf<typeof FAILURE>

/** Reads and writes the messages of one direction of one protocol. */
export interface Messages<M> {
  encode(message: M): Uint8Array
  /** @param maxBytes default {@link MAX_FRAME_BYTES} */
  decode(bytes: Uint8Array, maxBytes?: number): Verdict<M>
}

type Shapes = Readonly<Record<string, AnyShape>>

export function messages<const S extends Shapes>(shapes: S): Messages<ShapeOf<S[keyof S]>> {
  const types = Object.keys(shapes)
  return {
    encode(message) {
      // SAFE: the type of a message is a key of `shapes`.
      const shape = shapes[(message as { t: string }).t] as Shape<typeof message>
      return encode(shape.write(message))
    },
    decode(frame, maxBytes = MAX_FRAME_BYTES) {
      const value = decode(frame, maxBytes)
      if (!value.ok) return value
      const type = typeOf(value.value)
      if (type === null || !types.includes(type)) {
        return refuse('PEER', 'a message of an unknown type', {
          field: 't',
          limit: types.join(', '),
          got: (type ?? 'none').slice(0, 40),
        })
      }
      return (shapes[type] as S[keyof S]).read(value.value, '')
    },
  }
}

function typeOf(value: CborValue): string | null {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 't')) return null
  const type = (value as { readonly t?: unknown }).t
  return typeof type === 'string' ? type : null
}

export const helloMessages = messages({ hello: HELLO })
export const blobRequests = messages(BLOB_REQUESTS)
export const blobReplies = messages(BLOB_REPLIES)
export const inferRequests = messages(INFER_REQUESTS)
export const inferReplies = messages(INFER_REPLIES)

/** A failure as it crosses the wire; texts are cut to what the message may carry. */
export function failureMessage(
  failure: { readonly code: Code; readonly message: string } & Detail,
  retryAfter: number | null = null,
): FailureMessage {
  const part = (value: number | string | undefined): number | string | null =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
      ? value
      : value === undefined
        ? null
        : String(value).slice(0, 1000)
  return {
    t: 'error',
    code: failure.code,
    message: failure.message.slice(0, 1000),
    field: failure.field?.slice(0, 1000) ?? null,
    limit: part(failure.limit),
    got: part(failure.got),
    hint: failure.hint?.slice(0, 1000) ?? null,
    retryAfter,
  }
}

/** What a peer's failure means here; a code that this version does not know becomes PEER. */
export function readFailure(message: FailureMessage) {
  const { code, field, limit, got, hint } = message
  return refuse(Object.hasOwn(CODES, code) ? (code as Code) : 'PEER', message.message, {
    ...(field === null ? {} : { field }),
    ...(limit === null ? {} : { limit }),
    ...(got === null ? {} : { got }),
    ...(hint === null ? {} : { hint }),
  })
}

/** Whether a decoded reply is the one that was asked for. */
export const expectReply = <R extends { readonly t: string }, T extends R['t']>(
  reply: R,
  type: T,
): Verdict<Extract<R, { readonly t: T }>> =>
  reply.t === type
    ? accept(reply as Extract<R, { readonly t: T }>)
    : refuse('PEER', 'the peer answered something else', { limit: type, got: reply.t })
