/**
 * A node that lies. It runs the program like all others, with a publisher of its own, and its
 * strategies change what it says, or do something beside it.
 */
import type { Peer } from '../../../daemon/net/peers.ts'
import type { Cid } from '../../../protocol/cid.ts'
import { ZoariumError } from '../../../protocol/errors.ts'
import { type SyncReply, type SyncRequest, syncReplies } from '../../../protocol/sync-message.ts'
import { SimulatedCrash } from '../failpoint.ts'
import { type NodeParts, SimulatedNode } from '../node.ts'
import type { Operator } from '../operator.ts'

/** What a strategy says instead of the honest reply: other bytes, another reply, nothing at all. */
export type Lie = Uint8Array | SyncReply | null

export interface Strategy {
  readonly name: string
  /** What it says to a peer; undefined: the truth. */
  voice?(node: ByzantineNode, peer: Peer, request: SyncRequest, reply: SyncReply): Lie | undefined
  /** What it does in a round. */
  act?(node: ByzantineNode): void | Promise<void>
}

/** Keys that were stolen from a publisher. */
export interface Loot {
  readonly publisher: Cid
  /** Seeds of a device key, or of the root keys in force. */
  readonly seeds: readonly Uint8Array[]
  readonly what: 'device' | 'root'
}

/** Chance that a strategy that could lie does so. */
const MALICE = 0.35

export class ByzantineNode extends SimulatedNode {
  readonly strategies: readonly Strategy[]
  readonly loot: Loot[] = []
  /** Signed by a thief, not by its publisher. */
  readonly onStolen: (record: Cid) => void
  operator: Operator | null = null
  /** Peers, so that strategies can tell two halves apart. */
  readonly peers: readonly string[]

  constructor(
    parts: NodeParts,
    options: {
      readonly strategies: readonly Strategy[]
      readonly peers: readonly string[]
      readonly onStolen: (record: Cid) => void
    },
  ) {
    super(parts)
    this.strategies = options.strategies
    this.peers = options.peers
    this.onStolen = options.onStolen
  }

  override voice(peer: Peer, request: SyncRequest, reply: SyncReply): Uint8Array | null {
    for (const strategy of this.strategies) {
      if (strategy.voice === undefined || !this.random.chance(MALICE)) continue
      const lie = this.#tolerant(() => strategy.voice?.(this, peer, request, reply))
      if (lie === undefined) continue
      this.did(strategy)
      if (lie === null || lie instanceof Uint8Array) return lie
      return syncReplies.encode(lie)
    }
    return super.voice(peer, request, reply)
  }

  /** Lets each strategy do what it does. */
  async misbehave(): Promise<void> {
    for (const strategy of this.strategies) {
      if (!this.isUp || strategy.act === undefined || !this.random.chance(MALICE)) continue
      await this.act(async () => {
        try {
          await strategy.act?.(this)
        } catch (error) {
          if (!(error instanceof ZoariumError)) throw error
        }
      })
    }
  }

  did(strategy: Strategy): void {
    this.tally.add(`byzantine: ${strategy.name}`)
  }

  #tolerant<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      if (error instanceof ZoariumError && !(error instanceof SimulatedCrash)) return undefined
      throw error
    }
  }
}
