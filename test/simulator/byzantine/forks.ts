/** Strategies by which a publisher contradicts itself. */
import { type Archive, archiveOf } from '../../../daemon/net/archive.ts'
import type { Peer } from '../../../daemon/net/peers.ts'
import { answer } from '../../../protocol/sync-answer.ts'
import type { SyncRequest } from '../../../protocol/sync-message.ts'
import { memoryLedger } from '../../../registry/ledger.ts'
import { Registry } from '../../../registry/registry.ts'
import { Signer } from '../../../registry/signer.ts'
import { memoryTrust, TrustBook } from '../../../registry/trust-file.ts'
import type { Snapshot } from '../disk.ts'
import { Disk } from '../disk.ts'
import type { ByzantineNode, Lie, Strategy } from './byzantine-node.ts'
import { aTag } from './forgeries.ts'

/** Shows one face to half of its peers and another to the rest: two records at one position. */
export class TwoFaced implements Strategy {
  readonly name = 'two-faced'
  #other: { readonly registry: Registry; readonly archive: Archive } | null = null

  async act(node: ByzantineNode): Promise<void> {
    const append = aTag(node)
    const other = aTag(node)
    if (append.kind === 'model' || other.kind === 'model') return
    this.#other ??= await openFace(node)
    node.registry.append(append)
    this.#other.registry.append(other)
    this.#other.registry.heads()
    node.did(this)
  }

  voice(node: ByzantineNode, peer: Peer, request: SyncRequest): Lie | undefined {
    if (this.#other === null || node.peers.indexOf(peer.id) % 2 === 0) return undefined
    return answer(this.#other.archive, { ...peer.memory }, request) ?? undefined
  }
}

/** The same publisher with the same keys over a copy of its disk. */
async function openFace(node: ByzantineNode): Promise<{
  readonly registry: Registry
  readonly archive: Archive
}> {
  const { publisher, seeds, clock } = node
  const disk = new Disk(node.random, node.disk.kind)
  disk.restore(node.disk.snapshot(), true)
  const registry = await Registry.open({
    catalogue: disk.open(),
    blobs: disk.blobs,
    trust: new TrustBook(memoryTrust(node.disk.trust), publisher),
    signer: new Signer({ publisher, seeds, ledger: memoryLedger() }),
    clock,
  })
  return { registry, archive: archiveOf(registry) }
}

/** Puts back its whole disk, ledger and all, and goes on from there. */
export class RestoredBackup implements Strategy {
  readonly name = 'equivocation by a restored backup'
  #backup: Snapshot | null = null

  async act(node: ByzantineNode): Promise<void> {
    const { disk } = node
    if (this.#backup === null || node.random.chance(0.3)) {
      this.#backup = disk.snapshot()
      return
    }
    const backup = this.#backup
    node.stop()
    disk.restore(backup, true)
    await node.start()
    const statement = aTag(node)
    if (statement.kind !== 'model') node.registry.append(statement)
    node.did(this)
  }
}
