/** Strategies with keys that were stolen from honest publishers. */
import type { Peer } from '../../../daemon/net/peers.ts'
import { toHex } from '../../../protocol/bytes.ts'
import type { Cid } from '../../../protocol/cid.ts'
import { publicKeyOf } from '../../../protocol/crypto.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { readIdentity, signOperation } from '../../../protocol/identity.ts'
import { operationId } from '../../../protocol/identity-operation.ts'
import { MAX_DELEGATION_MS } from '../../../protocol/limits.ts'
import { peekRecord, type RecordBody } from '../../../protocol/record.ts'
import type { SyncReply, SyncRequest } from '../../../protocol/sync-message.ts'
import { bendItems } from './answers.ts'
import type { ByzantineNode, Lie, Loot, Strategy } from './byzantine-node.ts'
import { aTag, Forgery, nextRecord } from './forgeries.ts'

/** The newest theft of a kind. */
const lootOf = (node: ByzantineNode, what: Loot['what']): Loot | null =>
  node.loot.findLast((each) => each.what === what) ?? null

/** The next record of the victim's log, by the thief. */
function stolenRecord(node: ByzantineNode, { publisher, seeds }: Loot): Uint8Array | null {
  const [seed] = seeds
  if (seed === undefined || node.registry.identity(publisher) === null) return null
  const key = toHex(publicKeyOf(seed))
  const models = node.registry.catalogue.modelIds(publisher)
  const [target] = models
  const recall: RecordBody[] =
    target === undefined
      ? []
      : [{ kind: 'withdraw', body: { target, verb: 'recall', reason: 'stolen', note: '' } }]
  const statement = node.random.pick([aTag(node), ...recall])
  const envelope = nextRecord(node, { publisher, key, seed, statement })
  node.onStolen(expectOk(peekRecord(envelope)).id)
  return envelope
}

/** Signs in the victim's log what the victim never said, and passes it on as true. */
export class StolenKey implements Strategy {
  readonly name = 'stolen device key'

  act(node: ByzantineNode): void {
    const loot = lootOf(node, 'device')
    const envelope = loot === null ? null : stolenRecord(node, loot)
    if (envelope === null) return
    if (node.registry.admitRecord(envelope, null).ok) node.did(this)
  }
}

/** Goes on signing, also where its own program would refuse: past the cut of a revocation. */
export class RevokeRace extends Forgery {
  readonly name = 'revoke-race'

  protected override log(node: ByzantineNode) {
    const loot = lootOf(node, 'device')
    const [seed] = loot?.seeds ?? []
    if (loot === null || seed === undefined) return null
    return { publisher: loot.publisher, key: toHex(publicKeyOf(seed)) }
  }

  protected forge(node: ByzantineNode): Uint8Array | null {
    const loot = lootOf(node, 'device')
    return loot === null ? null : stolenRecord(node, loot)
  }
}

/** With stolen root keys: delegates a key of its own, as a branch of the victim's chain. */
export class IdentityFork implements Strategy {
  readonly name = 'identity fork by a thief of root keys'
  #branch: { readonly publisher: Cid; readonly operations: readonly Uint8Array[] } | null = null

  act(node: ByzantineNode): void {
    const loot = lootOf(node, 'root')
    if (loot === null) return
    const { publisher, seeds } = loot
    const operations = node.registry.identityOps(publisher)
    // Often beside the newest operation, so that two stand at one number.
    const length = Math.max(1, operations.length - node.random.int(0, 1))
    const common = operations.slice(0, length)
    const identity = expectOk(readIdentity(common))
    const ts = node.clock.now()
    const operation = signOperation(
      identity,
      {
        op: 'delegate',
        key: toHex(publicKeyOf(node.random.bytes(32))),
        scope: 'publish',
        notBefore: ts,
        notAfter: ts + MAX_DELEGATION_MS,
        ts,
      },
      seeds,
    )
    this.#branch = { publisher, operations: [...common, operation] }
    node.did(this)
  }

  voice(node: ByzantineNode, _peer: Peer, request: SyncRequest, reply: SyncReply): Lie | undefined {
    const branch = this.#branch
    if (branch === null) return undefined
    const { publisher, operations } = branch
    if (request.t === 'get-identity' && reply.t === 'identity') {
      if (request.publisher !== publisher) return undefined
      return { ...reply, operations: operations.slice(request.from), more: false }
    }
    const last = operations.at(-1)
    const tip = last === undefined ? null : operationId(last)
    return bendItems(node, request, reply, (item) =>
      item.publisher === publisher && item.key === null
        ? { ...item, seq: operations.length, tip }
        : item,
    )
  }
}
