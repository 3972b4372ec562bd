/**
 * Nodes of UnixFS trees as dag-pb bytes, links first. docs/protocol.md, "Trees".
 *
 * Only what the profile `unixfs-v1-2025` needs: files without data of their own, plain folders.
 * Written out because admission computes a folder for each model record, and because the sizes of
 * nodes must be known without building them.
 */
import { CID_BYTES } from './cid.ts'
import { assert } from './errors.ts'

/** A link to a child. */
export interface NodeLink {
  /** Binary CID, 36 bytes. */
  readonly cid: Uint8Array
  /** UTF-8; empty in files. */
  readonly name: Uint8Array
  /** Bytes of the child and of everything below it, as blocks. */
  readonly treeBytes: number
}

/** UnixFS `{Type: Directory}`. */
export const FOLDER_DATA: Uint8Array = Uint8Array.of(0x08, 1)

/** UnixFS `{Type: File, filesize, blocksizes}`. */
export function fileData(size: number, blockSizes: readonly number[]): Uint8Array {
  let length = 3 + varintLength(size)
  for (const blockSize of blockSizes) length += 1 + varintLength(blockSize)
  const writer = new Writer(length)
  writer.bytes(FILE_HEAD)
  writer.varint(size)
  for (const blockSize of blockSizes) {
    writer.varint(0x20)
    writer.varint(blockSize)
  }
  return writer.finish()
}
const FILE_HEAD = Uint8Array.of(0x08, 2, 0x18)

/** Encodes a node: PBNode `{2: links, 1: data}`, PBLink `{1: cid, 2: name, 3: tree size}`. */
export function encodeNode(links: readonly NodeLink[], data: Uint8Array): Uint8Array {
  let length = dataLength(data.length)
  for (const { name, treeBytes } of links) length += linkLength(name.length, treeBytes)
  const writer = new Writer(length)
  for (const { cid, name, treeBytes } of links) {
    writer.varint(0x12)
    writer.varint(linkBodyLength(name.length, treeBytes))
    writer.varint(0x0a)
    writer.varint(cid.length)
    writer.bytes(cid)
    writer.varint(0x12)
    writer.varint(name.length)
    writer.bytes(name)
    writer.varint(0x18)
    writer.varint(treeBytes)
  }
  writer.varint(0x0a)
  writer.varint(data.length)
  writer.bytes(data)
  return writer.finish()
}

/** Bytes that a link adds to its node. */
export function linkLength(nameLength: number, treeBytes: number): number {
  const body = linkBodyLength(nameLength, treeBytes)
  return 1 + varintLength(body) + body
}

/** Bytes that `data` of a length adds to its node. */
export const dataLength = (length: number): number => 1 + varintLength(length) + length

const linkBodyLength = (nameLength: number, treeBytes: number): number =>
  2 + CID_BYTES + 1 + varintLength(nameLength) + nameLength + 1 + varintLength(treeBytes)

/** Bytes of an unsigned varint up to 2^53. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++
  return length
}

class Writer {
  readonly #bytes: Uint8Array
  #position = 0

  constructor(length: number) {
    this.#bytes = new Uint8Array(length)
  }

  bytes(part: Uint8Array): void {
    this.#bytes.set(part, this.#position)
    this.#position += part.length
  }

  varint(value: number): void {
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) {
      this.#bytes[this.#position++] = (rest % 128) | 128
    }
    this.#bytes[this.#position++] = rest
  }

  finish(): Uint8Array {
    assert(this.#position === this.#bytes.length, 'a node of another length than computed')
    return this.#bytes
  }
}
