/** What the outside asks of the process that is killed, and what it is told: one line of JSON each. */
import { Buffer } from 'node:buffer'
import type { Cid } from '../../protocol/cid.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'

/** Bytes in a line: base64. */
export type Base64 = string

export type Command = { readonly n: number } & (
  | { readonly do: 'publish'; readonly version: number; readonly bytes: number }
  | { readonly do: 'withdraw'; readonly target: Cid; readonly verb: 'yank' | 'recall' }
  | { readonly do: 'tag'; readonly target: Cid; readonly tag: string }
  | { readonly do: 'attest'; readonly target: Cid }
  /** Records and the head after them, as a peer gives them. */
  | {
      readonly do: 'admit'
      readonly records: readonly { readonly envelope: Base64; readonly card: Base64 | null }[]
      readonly head: Base64 | null
    }
  /** The bytes of a file of a model of another publisher have come. */
  | { readonly do: 'fetch'; readonly seed: number; readonly bytes: number }
  /** A file that no record names. */
  | { readonly do: 'stray'; readonly seed: number; readonly bytes: number }
  | { readonly do: 'erase' | 'restore'; readonly record: Cid }
  /** Deletes what is due of erased models, seen from so many hours later. */
  | { readonly do: 'collect'; readonly hours: number }
  | { readonly do: 'gc' }
  | { readonly do: 'keys'; readonly work: 'renew' | 'rotate' | 'erase' }
  | { readonly do: 'import'; readonly file: string }
  | { readonly do: 'trust'; readonly publisher: Cid; readonly right: 'list' | 'mirror' | 'run' }
  /** A peer that follows this node gives back all that it has of its logs. */
  | { readonly do: 'confirm'; readonly records: readonly Base64[] }
)

/** What a command may tell. */
export interface Told {
  /** Of the record that was signed. */
  readonly envelope?: Base64
  /** Files that are here now. */
  readonly files?: readonly Cid[]
  /** Operations of the own identity. */
  readonly operations?: number
  readonly count?: number
}

export type Answer =
  | { readonly ready: true }
  /** Something left this node. */
  | { readonly sent: 'record' | 'head'; readonly envelope: Base64 }
  | { readonly ack: number; readonly told: Told }
  | { readonly failed: number; readonly code: string; readonly message: string }

export const toBase64 = (bytes: Uint8Array): Base64 => Buffer.from(bytes).toString('base64')
export const fromBase64 = (text: Base64): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))

/** The same bytes for the same numbers, in every process; no leaf of them is like another. */
export function bytesOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += LEAF_BYTES) {
    bytes.fill(seed + at / LEAF_BYTES, at, at + LEAF_BYTES)
    new DataView(bytes.buffer, at).setUint32(0, seed)
  }
  return bytes
}
