/** Strategies that change honest answers. */
import type { Peer } from '../../../daemon/net/peers.ts'
import { concat } from '../../../protocol/bytes.ts'
import { encode } from '../../../protocol/cbor.ts'
import { cidOf } from '../../../protocol/cid.ts'
import { MAX_FRAME_BYTES, MAX_RECORD_BYTES, MAX_SYNC_ITEMS } from '../../../protocol/limits.ts'
import type { SetEntry } from '../../../protocol/sync-item.ts'
import {
  isHoldings,
  type LogPage,
  MARK_BYTES,
  SPLIT,
  type SyncItem,
  type SyncReply,
  type SyncRequest,
  syncReplies,
} from '../../../protocol/sync-message.ts'
import type { PlainRecord } from '../../../protocol/sync-source.ts'
import type { ByzantineNode, Lie, Strategy } from './byzantine-node.ts'

/** Changes the first page of an answer that is to be another one. */
export function bendPage(
  reply: SyncReply,
  bend: (page: LogPage, n: number) => LogPage | null,
): Lie | undefined {
  if (reply.t !== 'records') return undefined
  for (const [n, page] of reply.logs.entries()) {
    const bent = bend(page, n)
    if (bent === null) continue
    return { ...reply, logs: reply.logs.map((each, at) => (at === n ? bent : each)) }
  }
  return undefined
}

/** Says that all ranges differ, and then what is in them. */
export function bendItems(
  node: ByzantineNode,
  request: SyncRequest,
  reply: SyncReply,
  bend: (item: SyncItem) => SyncItem | null,
): Lie | undefined {
  if (reply.t === 'state') return { ...reply, parts: node.random.bytes(SPLIT * MARK_BYTES) }
  if (reply.t !== 'items' || request.t !== 'compare') return undefined
  const { archive } = node
  const asked = ({ id }: SetEntry): boolean =>
    id > (request.after ?? '') && request.ranges.some(({ range }) => id.startsWith(range))
  const entries = archive.set(archive.publishers()).entries.filter(asked)
  const items = entries
    .flatMap(({ item }) => (isHoldings(item) ? item : (bend(item) ?? [])))
    .slice(0, MAX_SYNC_ITEMS)
  return { t: 'items', items, lacks: [], more: false }
}

/** Changes one record of a page. */
abstract class OneRecord implements Strategy {
  abstract readonly name: string

  voice(
    node: ByzantineNode,
    _peer: Peer,
    _request: SyncRequest,
    reply: SyncReply,
  ): Lie | undefined {
    return bendPage(reply, (page) => {
      if (page.records.length === 0) return null
      const index = node.random.int(0, page.records.length - 1)
      const records = page.records.flatMap((record, at) =>
        at === index ? (this.change(node, record) ?? []) : [record],
      )
      return { ...page, records }
    })
  }

  /** @returns what stands in its place, or null for nothing */
  protected abstract change(node: ByzantineNode, record: PlainRecord): PlainRecord | null
}

/** Bits of a signature flipped. */
export class InvalidSignature extends OneRecord {
  readonly name = 'invalid signature'

  protected change(node: ByzantineNode, { envelope, card }: PlainRecord): PlainRecord {
    const bent = envelope.slice()
    const at = bent.length - 1 - node.random.int(0, 63)
    // SAFE: `at` lies in the signature.
    bent[at] = (bent[at] as number) ^ (1 << node.random.int(0, 7))
    return { envelope: bent, card }
  }
}

/** Another card than the one that the record names. */
export class WrongHash extends OneRecord {
  readonly name = 'wrong hash'

  protected change(node: ByzantineNode, { envelope, card }: PlainRecord): PlainRecord {
    if (card === null) return { envelope, card: node.random.bytes(20) }
    return { envelope, card: concat([card, node.random.bytes(1)]) }
  }
}

/** A record that ends too early. */
export class TruncatedRecord extends OneRecord {
  readonly name = 'truncated record'

  protected change(node: ByzantineNode, { envelope, card }: PlainRecord): PlainRecord {
    return { envelope: envelope.slice(0, node.random.int(64, envelope.length - 1)), card }
  }
}

/** One record left out. */
export class Withholding extends OneRecord {
  readonly name = 'withheld one'

  protected change(): null {
    return null
  }
}

/** One byte more than a record, or a frame, may have. */
export class Oversize implements Strategy {
  readonly name = 'oversize by one'

  voice(
    node: ByzantineNode,
    _peer: Peer,
    _request: SyncRequest,
    reply: SyncReply,
  ): Lie | undefined {
    if (reply.t !== 'records') return undefined
    const isFrame = node.random.chance(0.5)
    if (isFrame) return new Uint8Array(MAX_FRAME_BYTES + 1)
    return bendPage(reply, (page) => {
      const [first] = page.records
      if (first === undefined) return null
      const padding = new Uint8Array(MAX_RECORD_BYTES + 65 - first.envelope.length)
      const envelope = concat([padding, first.envelope])
      return { ...page, records: [{ envelope, card: null }] }
    })
  }
}

/** Pages without end that bring nothing, or the same again. */
export class Endless implements Strategy {
  readonly name = 'endless'

  voice(
    node: ByzantineNode,
    _peer: Peer,
    _request: SyncRequest,
    reply: SyncReply,
  ): Lie | undefined {
    if (reply.t === 'items' || reply.t === 'identity') return { ...reply, more: true }
    return bendPage(reply, (page) => {
      const records = node.random.chance(0.5) ? page.records : []
      return { ...page, records, more: true }
    })
  }
}

/** Silence after the question. */
export class Stall implements Strategy {
  readonly name = 'stall'

  voice(): Lie {
    return null
  }
}

/** Bytes that are no message, or one of another kind. */
export class Garbage implements Strategy {
  readonly name = 'garbage'

  voice(node: ByzantineNode, _peer: Peer, _request: SyncRequest, reply: SyncReply): Lie {
    const honest = syncReplies.encode(reply)
    switch (node.random.int(0, 3)) {
      case 0:
        return node.random.bytes(node.random.int(0, 200))
      case 1:
        return honest.slice(0, node.random.int(0, honest.length - 1))
      case 2:
        return concat([honest, new Uint8Array(1)])
      default:
        return encode({ t: 'proof', first: null, second: null })
    }
  }
}

/** The oldest head that it ever saw of each log, for ever. */
export class OldHeads implements Strategy {
  readonly name = 'old heads'
  readonly #first = new Map<string, Uint8Array>()

  voice(
    _node: ByzantineNode,
    _peer: Peer,
    request: SyncRequest,
    reply: SyncReply,
  ): Lie | undefined {
    if (request.t !== 'get-records') return undefined
    return bendPage(reply, (page, n) => {
      const name = request.logs[n]?.id ?? ''
      const head = this.#first.get(name) ?? page.head
      if (head === null) return null
      this.#first.set(name, head)
      return { ...page, head }
    })
  }

  act(node: ByzantineNode): void {
    for (const head of this.#first.values()) node.announce(head)
    if (this.#first.size > 0) node.did(this)
  }
}

/** Says that it has what it lacks, lacks what it has, and that logs have forked which have not. */
export class HaveAndWant implements Strategy {
  readonly name = 'lies about have and want'

  voice(node: ByzantineNode, _peer: Peer, request: SyncRequest, reply: SyncReply): Lie | undefined {
    const { random } = node
    // Nothing new, although there is.
    if (reply.t === 'state' && random.chance(0.2)) return { ...reply, parts: null }
    if (reply.t === 'state' && random.chance(0.2)) return { ...reply, publishers: [] }
    return bendItems(node, request, reply, (item) => this.#bend(node, item))
  }

  #bend(node: ByzantineNode, item: SyncItem): SyncItem | null {
    const { random } = node
    switch (random.int(0, 6)) {
      case 0:
        return null
      case 1:
        return { ...item, seq: item.seq + random.int(1, 1000) }
      case 2:
        return { ...item, tip: cidOf('dag-cbor', random.bytes(8)) }
      case 3:
        return item.key === null ? item : { ...item, seq: 0, tip: null, day: 0, forked: true }
      case 4:
        return { ...item, epoch: item.epoch + 1, day: item.day + 1000 }
      default:
        return item
    }
  }

  act(node: ByzantineNode): void {
    const connected = node.book.connected()
    if (connected.length === 0) return
    const peer = node.random.pick(connected)
    const stream = node.link(peer.id)
    if (stream === null) return
    node.did(this)
    stream.send(encode({ t: 'done', behind: true }))
    stream.close()
  }
}

/** Bad signatures, a page full at a time, whatever was asked for. */
export class BadSignatureFlood implements Strategy {
  readonly name = 'flood of bad signatures'

  voice(node: ByzantineNode, _peer: Peer, request: SyncRequest, reply: SyncReply): Lie | undefined {
    if (reply.t !== 'records' || request.t !== 'get-records') return undefined
    const [sample] = reply.logs.flatMap(({ records }) => records)
    const own = sample ?? this.#any(node)
    if (own === null) return undefined
    const records = Array.from({ length: 40 }, () => {
      const envelope = own.envelope.slice()
      envelope.set(node.random.bytes(8), envelope.length - 64)
      return { envelope, card: own.card }
    })
    return { ...reply, logs: [{ records, head: null, more: true }] }
  }

  #any(node: ByzantineNode): PlainRecord | null {
    for (const { key } of node.archive.logs(node.publisher)) {
      for (const record of node.archive.recordsAfter(node.publisher, key, null, 1)) return record
    }
    return null
  }
}

/** A chain that is too short, another publisher's, or out of order. */
export class WrongChain implements Strategy {
  readonly name = 'wrong chain'

  voice(
    node: ByzantineNode,
    _peer: Peer,
    _request: SyncRequest,
    reply: SyncReply,
  ): Lie | undefined {
    if (reply.t !== 'identity') return undefined
    const { random, archive } = node
    switch (random.int(0, 3)) {
      case 0:
        return { ...reply, operations: reply.operations.slice(0, -1), more: false }
      case 1:
        return { ...reply, operations: [...reply.operations].reverse() }
      case 2: {
        const other = random.pick(archive.publishers())
        return { ...reply, operations: archive.identityOps(other, 0, 10) }
      }
      default:
        return { ...reply, operations: reply.operations.slice(1) }
    }
  }
}
