/** Messages of libp2p's pubsub as bytes, for peers that send what gossipsub itself would not. */
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { concat } from '../../protocol/bytes.ts'
import { randomBytes } from '../../protocol/crypto.ts'
import { utf8 } from './publisher.ts'

/** The stream protocol that takes them. */
export const PUBSUB_PROTOCOL = '/meshsub/1.1.0'

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]
const field = (number: number, bytes: Uint8Array): Uint8Array =>
  concat([Uint8Array.of((number << 3) | 2, ...varint(bytes.length)), bytes])

/**
 * One message, to be put into a frame.
 * @param isSigned by the transport key; otherwise with 64 bytes that are nobody's signature
 */
export async function pubsubMessage(
  key: PrivateKey,
  topic: string,
  data: Uint8Array,
  seqno: number,
  isSigned = true,
): Promise<Uint8Array> {
  const counter = new Uint8Array(8)
  new DataView(counter.buffer).setUint32(4, seqno)
  const from = peerIdFromPrivateKey(key).toMultihash().bytes
  const parts = [field(1, from), field(2, data), field(3, counter), field(4, utf8(topic))]
  const signed = isSigned
    ? await key.sign(concat([utf8('libp2p-pubsub:'), ...parts]))
    : randomBytes(64)
  return field(2, concat([...parts, field(5, signed)]))
}

/** Several messages in one frame of the stream. */
export function pubsubFrame(messages: readonly Uint8Array[]): Uint8Array {
  const rpc = concat(messages)
  return concat([Uint8Array.from(varint(rpc.length)), rpc])
}
