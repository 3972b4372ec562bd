/**
 * Strategies that offer records of the liar's own publisher, signed by its own key, that break one
 * rule. Peers are lured to ask for them by a state that names one record more.
 */
import type { Peer } from '../../../daemon/net/peers.ts'
import { concat } from '../../../protocol/bytes.ts'
import { type CborMap, decode, encode, isMap } from '../../../protocol/cbor.ts'
import { type Cid, cidOf, linkOf } from '../../../protocol/cid.ts'
import { seal, split } from '../../../protocol/envelope.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { MAX_RECORD_BYTES, MAX_SEQ } from '../../../protocol/limits.ts'
import { nextPlace } from '../../../protocol/log.ts'
import { type RecordBody, signRecord } from '../../../protocol/record.ts'
import { idOf } from '../../../protocol/sync-item.ts'
import type { SyncReply, SyncRequest } from '../../../protocol/sync-message.ts'
import type { MachineScope } from '../root.ts'
import { bendItems, bendPage } from './answers.ts'
import type { ByzantineNode, Lie, Strategy } from './byzantine-node.ts'

/** A record that follows the newest one of the liar's log, and what it is sealed with. */
export interface Forged {
  readonly fields: CborMap
  readonly seed: Uint8Array
}

/** The next record of a log as the node knows it, signed by whoever has the seed. */
export function nextRecord(
  node: ByzantineNode,
  options: {
    readonly publisher: Cid
    readonly key: string
    readonly seed: Uint8Array
    readonly statement: RecordBody
  },
): Uint8Array {
  const { publisher, key, seed, statement } = options
  const { registry, clock } = node
  const identity = registry.identity(publisher)
  const device = identity?.devices.find((each) => each.key === key)
  const place = nextPlace(registry.catalogue.log(publisher, key), device?.cuts ?? [])
  const idv = identity?.length ?? 1
  const record = { publisher, key, ...place, idv, ts: clock.now(), ...statement }
  return signRecord(record, seed).envelope
}

/** A tag on whatever comes to hand. */
export const aTag = (node: ByzantineNode): RecordBody => ({
  kind: 'tag',
  body: {
    name: 'forged',
    tag: `t${node.random.int(0, 999)}`,
    target: cidOf('dag-cbor', node.random.bytes(8)),
    replaces: [],
  },
})

const ownRecord = (node: ByzantineNode, scope: MachineScope, statement: RecordBody): Uint8Array => {
  const { key, seed } = node.registry.signer.device(scope)
  return nextRecord(node, { publisher: node.publisher, key, seed, statement })
}

/** The fields of a record's payload. */
function fieldsOf(envelope: Uint8Array): CborMap {
  const { payload } = expectOk(split(envelope))
  const fields = expectOk(decode(payload, MAX_RECORD_BYTES))
  if (!isMap(fields)) throw new TypeError('a payload is a map')
  return fields
}

/** Lures peers to ask for one record more of a log than there is, and then offers its own. */
export abstract class Forgery implements Strategy {
  abstract readonly name: string

  voice(node: ByzantineNode, _peer: Peer, request: SyncRequest, reply: SyncReply): Lie | undefined {
    const log = this.log(node)
    if (log === null) return undefined
    const { publisher, key } = log
    if (request.t === 'get-records' && reply.t === 'records') {
      const id = idOf(log)
      return bendPage(reply, (page, n) => {
        const envelope = request.logs[n]?.id === id && !page.more ? this.forge(node) : null
        if (envelope === null) return null
        return { ...page, records: [...page.records, { envelope, card: null }] }
      })
    }
    return bendItems(node, request, reply, (item) =>
      item.publisher === publisher && item.key === key && !item.forked
        ? { ...item, seq: item.seq + 1, tip: cidOf('dag-cbor', node.random.bytes(8)) }
        : item,
    )
  }

  /** Whose log is to go on. */
  protected log(node: ByzantineNode): { readonly publisher: Cid; readonly key: string } | null {
    return { publisher: node.publisher, key: node.registry.signer.device('publish').key }
  }

  protected abstract forge(node: ByzantineNode): Uint8Array | null
}

/** Fields of an own record changed, and signed again. */
abstract class Resigned extends Forgery {
  protected forge(node: ByzantineNode): Uint8Array {
    const fields = fieldsOf(ownRecord(node, 'publish', aTag(node)))
    const { seed } = node.registry.signer.device('publish')
    return this.seal(encode(this.change(node, fields)), seed)
  }

  protected change(_node: ByzantineNode, fields: CborMap): CborMap {
    return fields
  }

  protected seal(payload: Uint8Array, seed: Uint8Array): Uint8Array {
    return seal('record', payload, seed)
  }
}

/** A position far ahead. */
export class FastForward extends Resigned {
  readonly name = 'fast-forward'

  protected override change(node: ByzantineNode, fields: CborMap): CborMap {
    const changes: readonly CborMap[] = [
      { seq: MAX_SEQ },
      { seq: MAX_SEQ + 1 },
      { seq: Number.MAX_SAFE_INTEGER },
      { epoch: 1, seq: 0 },
      { epoch: 1024, seq: 0 },
    ]
    return { ...fields, ...node.random.pick(changes) }
  }
}

/** Dated a year ahead, before the key was delegated, or after it has run out. */
export class WrongDate extends Resigned {
  readonly name = 'wrong date'

  protected override change(node: ByzantineNode, fields: CborMap): CborMap {
    const year = 365 * 24 * 3600 * 1000
    const now = node.clock.now()
    return { ...fields, ts: node.random.pick([now + year, 0, now + 20 * year]) }
  }
}

/** A field, a version, a kind or a link that is not what the format says. */
export class WrongFields extends Resigned {
  readonly name = 'wrong fields'

  protected override change(node: ByzantineNode, fields: CborMap): CborMap {
    const changes: readonly CborMap[] = [
      { extra: 1 },
      { v: 2 },
      { kind: 'unheard-of' },
      { prev: null },
      { idv: 1024 },
      { body: {} },
      { t: 'head' },
    ]
    return { ...fields, ...node.random.pick(changes) }
  }
}

/** A signature over the same bytes as a statement of another type. */
export class WrongDomain extends Resigned {
  readonly name = 'signature of another type'

  protected override seal(payload: Uint8Array, seed: Uint8Array): Uint8Array {
    return seal('head', payload, seed)
  }
}

/** The same value in other bytes, under a signature of its own. */
export class MixedEncoding extends Resigned {
  readonly name = 'mixed-encoding twin'

  protected override seal(payload: Uint8Array, seed: Uint8Array): Uint8Array {
    // A map of so many pairs, with its count in two bytes instead of one.
    const [head = 0] = payload
    const isShort = head >= 0xa0 && head < 0xb8
    const twin = isShort
      ? concat([Uint8Array.from([0xb8, head - 0xa0]), payload.subarray(1)])
      : concat([payload, new Uint8Array(1)])
    return seal('record', twin, seed)
  }
}

/** A record under a key of small order, for which anybody can make signatures. */
export class SmallOrderKey extends Resigned {
  readonly name = 'small-order key'

  protected override change(_node: ByzantineNode, fields: CborMap): CborMap {
    const key = new Uint8Array(32)
    key[0] = 1
    return { ...fields, key }
  }

  protected override seal(payload: Uint8Array): Uint8Array {
    const signature = new Uint8Array(64)
    signature[0] = 1
    return concat([payload, signature])
  }
}

/** The next record of an honest log, by somebody who has no key of it. */
export class ForgedRecord extends Forgery {
  readonly name = 'forged record'

  protected override log(node: ByzantineNode) {
    const logs = node.registry.logs().filter(({ publisher }) => publisher !== node.publisher)
    return logs.find(({ proof }) => proof === null) ?? null
  }

  protected forge(node: ByzantineNode): Uint8Array | null {
    const log = this.log(node)
    const newest = log === null ? null : node.registry.catalogue.record(log.tip)
    if (log === null || newest === null) return null
    const fields = fieldsOf(newest.envelope)
    const next = { ...fields, seq: log.seq + 1, prev: linkOf(log.tip) }
    return seal('record', encode(next), node.random.bytes(32))
  }
}

/** What the key to serve may not sign. */
export class WrongScope extends Forgery {
  readonly name = 'wrong scope'

  protected override log(node: ByzantineNode) {
    return { publisher: node.publisher, key: node.registry.signer.device('serve').key }
  }

  protected forge(node: ByzantineNode): Uint8Array {
    return ownRecord(node, 'serve', aTag(node))
  }
}

/** Erasing what is another's, and erasing with a key that may not: a storm of withdrawals. */
export class EraseSpam extends Forgery {
  readonly name = 'erase-spam'

  protected forge(node: ByzantineNode): Uint8Array | null {
    const { random, archive, registry } = node
    const models = archive.publishers().flatMap((each) => registry.catalogue.modelIds(each))
    if (models.length === 0) return null
    const verb = random.pick(['erase', 'recall', 'yank'] as const)
    const body = { target: random.pick(models), verb, reason: 'spam', note: '' }
    return ownRecord(node, 'publish', { kind: 'withdraw', body })
  }

  /** Valid ones, which nobody has to count. */
  act(node: ByzantineNode): void {
    const { random, archive, registry } = node
    const models = archive.publishers().flatMap((each) => registry.catalogue.modelIds(each))
    if (models.length === 0) return
    for (let n = 0; n < 3; n++) {
      const body = {
        target: random.pick(models),
        verb: 'recall',
        reason: 'spam',
        note: '',
      } as const
      registry.append({ kind: 'withdraw', body })
    }
    node.did(this)
  }
}

/** Small valid records, as many as it likes. */
export class TinyFlood implements Strategy {
  readonly name = 'flood of valid tiny records'

  act(node: ByzantineNode): void {
    const target = cidOf('dag-cbor', node.random.bytes(8))
    const root = cidOf('dag-pb', node.random.bytes(8))
    for (let n = 0; n < 6; n++) {
      node.registry.append({ kind: 'attest', body: { target, root, claim: 'usage', n } })
    }
    node.did(this)
  }
}
