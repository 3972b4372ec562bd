/**
 * What the network needs of the registry: what it may read to peers, and where it hands in what
 * peers sent. Nothing that comes in is kept unless an `admit` says so.
 */
import type { Cid } from '../../protocol/cid.ts'
import { expectOk, type Verdict } from '../../protocol/errors.ts'
import type { Identity } from '../../protocol/identity.ts'
import { peekRecord } from '../../protocol/record.ts'
import type { LogState, StateSource } from '../../protocol/sync-item.ts'
import { type PlainRecord, restrict, type SyncSource } from '../../protocol/sync-source.ts'
import { SyncTable } from '../../protocol/sync-table.ts'
import type { BlobStore } from '../../registry/blob-store.ts'
import type { PeerRow, ProofRow, RecordRow } from '../../registry/catalogue.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Right } from '../../registry/trust.ts'

export interface Archive extends SyncSource {
  /** This node's publisher. */
  readonly publisher: Cid
  /** Those of its keys that are on this machine. */
  readonly keys: ReadonlySet<string>
  readonly blobs: BlobStore

  identity(publisher: Cid): Identity | null
  may(publisher: Cid, right: Right): boolean
  /** Whether input may be sent to nodes of that publisher. */
  maySend(publisher: Cid): boolean

  admitIdentity(publisher: Cid, operations: readonly Uint8Array[], from: number): Verdict<unknown>
  /** A profile without its log, as of a stranger. */
  admitProfile(envelope: Uint8Array): Verdict<unknown>
  /** In order, one verdict each; durable together. @throws ZoariumError DISK_FULL, STORE */
  /** Reads cards before their records are admitted, beside the event loop. */
  readAhead(cards: readonly Uint8Array[]): Promise<void>
  admitRecords(records: readonly PlainRecord[]): readonly Verdict<unknown>[]
  admitHead(envelope: Uint8Array): Verdict<{
    readonly head: { readonly publisher: Cid; readonly key: string }
    readonly ahead: boolean
  }>
  admitProof(first: Uint8Array, second: Uint8Array): Verdict<unknown>
  /** @throws ZoariumError DISK_FULL, STORE */
  admitHoldings(current: Uint8Array, base: Uint8Array | null): Verdict<unknown>

  /** The HTTPS address in the profile of a publisher whose files are mirrored; null: there is none. */
  webAddress(publisher: Cid): string | null
  /** Whether nodes of a publisher (null: not bound to one) may read a log; this source shows all. */
  mayRead(publisher: Cid, key: string, reader: Cid | null): boolean
  /** The same for the log of a record; one that is not here may be asked for. */
  mayReadRecord(record: Cid, reader: Cid | null): boolean
  /** Whether nodes of a publisher may read a blob. */
  isShared(cid: Cid, reader: Cid | null): boolean
  /** Inner nodes of a blob's tree, root first; null where they are not known. */
  tree(cid: Cid): readonly Uint8Array[] | null
  /** Keeps a verified tree, before its blob becomes visible. */
  keepTree(cid: Cid, nodes: readonly Uint8Array[]): void
  /** A blob has become visible. */
  blobKept(cid: Cid, size: number): void
  /** Models that the DHT is told of: own ones, then those with too few copies, fewest first. */
  provided(limit: number): readonly Cid[]

  /** Peers that were met before, for the next start. */
  knownPeers(): readonly PeerRow[]
  keepPeer(peer: PeerRow): void
  forgetPeer(peer: string): void
  /** HTTPS URL in a publisher's profile, or null. */
  profileUrl(publisher: Cid): string | null
  /** @returns a function that ends the listening */
  onTrust(listener: () => void): () => void
}

/** What nodes of a publisher may read of an archive; null: a peer that is not bound to one. */
export const readableBy = (archive: Archive, reader: Cid | null): SyncSource =>
  restrict(archive, (publisher, key) => archive.mayRead(publisher, key, reader))

/** A log of which nothing is here but that it forked. */
function blankFork({ key, proof }: ProofRow): Omit<LogState, 'isPrivate'> {
  const { epoch, seq, id: tip } = expectOk(peekRecord(proof[0]))
  return { key, epoch, seq, tip, headIssued: 0, isForked: true }
}

/** Chains and logs of a registry, read anew at each call. */
function stateOf(registry: Registry): StateSource {
  const { catalogue, audiences } = registry
  return {
    chain(publisher) {
      const identity = registry.identity(publisher)
      return identity && { ...identity, isContested: registry.isFrozen(publisher) }
    },
    logs(publisher) {
      const logs = catalogue.logs(publisher).map(({ key, epoch, seq, tip, headIssued, proof }) => {
        return { key, epoch, seq, tip, headIssued, isForked: proof !== null }
      })
      // Where a log forked from its first record on, no record of it may be here.
      const keys = new Set(logs.map(({ key }) => key))
      const blank = catalogue.proofs(publisher).filter(({ key }) => !keys.has(key))
      return [...logs, ...blank.map(blankFork)].map((log) => ({
        ...log,
        isPrivate: audiences.of(publisher, log.key) !== null,
      }))
    },
    holdings: (publisher) => registry.replicas.states(publisher),
    horizon: () => registry.horizon(),
  }
}

/** Items in memory, which follow what changes in a registry. */
function tableOf(registry: Registry, state: StateSource): SyncTable {
  const table = new SyncTable(state)
  registry.on('changed', ({ publisher }) => table.changed(publisher))
  registry.on('trust', () => table.forget())
  return table
}

/** What is held here for everybody: own models, then those with too few copies, fewest first. */
function provided(registry: Registry): readonly Cid[] {
  const { publisher, catalogue, replicas, trust } = registry
  const own = new Set(catalogue.modelIds(publisher))
  const { floor, rules } = trust.mirror
  const most = Math.max(floor, ...rules.map((rule) => rule.floor ?? 0))
  const held = registry.heldForAll()
  const scarce = held
    .filter((record) => !own.has(record))
    // The copy here is one more.
    .map((record) => ({ record, copies: replicas.holders(record, publisher).length + 1 }))
    .filter(({ copies }) => copies < most)
    .sort((a, b) => a.copies - b.copies)
  return [...held.filter((record) => own.has(record)), ...scarce.map(({ record }) => record)]
}

/** The archive of a registry. */
export function archiveOf(registry: Registry): Archive {
  const { catalogue } = registry
  const state = stateOf(registry)
  const table = tableOf(registry, state)
  const plain = ({ id, kind, envelope }: RecordRow): PlainRecord => {
    const model = kind === 'model' ? catalogue.model(id) : null
    const isErased = model?.withdrawn === 'erase'
    return { envelope, card: model === null || isErased ? null : catalogue.card(model.card) }
  }
  return {
    publisher: registry.publisher,
    keys: registry.signer.keys(),
    blobs: registry.blobs,

    publishers: () => registry.trust.with('list'),
    ...state,
    set: (publishers, mayRead = () => true) => table.set(publishers, mayRead),
    logOf: (id) => table.log(id),
    rival: (publisher) => catalogue.rival(publisher),
    identityOps: (publisher, from, limit) => registry.identityOps(publisher, from).slice(0, limit),
    profile: (publisher) => registry.profile(publisher)?.envelope ?? null,
    rosters: (of) => registry.rosters.find(of),
    *recordsAfter(publisher, key, after, limit) {
      if (publisher === registry.publisher) registry.signer.share(key)
      for (const each of catalogue.recordsAfter(publisher, key, after, limit)) yield plain(each)
    },
    recordAt(publisher, key, position) {
      if (publisher === registry.publisher) registry.signer.share(key)
      const row = catalogue.recordAt(publisher, key, position)
      return row === null ? null : { ...plain(row), id: row.id }
    },
    head(publisher, key) {
      const log = catalogue.log(publisher, key)
      return log === null || registry.isAhead(log.headIssued) ? null : log.head
    },
    cardless: () =>
      catalogue.modelsWithoutCard().flatMap((record) => {
        const row = catalogue.record(record)
        return row === null ? [] : [expectOk(peekRecord(row.envelope))]
      }),
    stated(id) {
      const node = table.node(id)
      return node === null ? null : registry.replicas.node(node.publisher, node.key)
    },
    proof: (publisher, key) => catalogue.proof(publisher, key),

    identity: (publisher) => registry.identity(publisher),
    may: (publisher, right) => registry.trust.may(publisher, right),
    maySend: (publisher) => registry.trust.maySend(publisher),
    webAddress: (publisher) =>
      registry.trust.may(publisher, 'mirror') ? (registry.profile(publisher)?.url ?? null) : null,
    admitIdentity: (publisher, operations, from) =>
      registry.admitIdentity(publisher, operations, from),
    admitProfile: (envelope) => registry.admitProfile(envelope),
    readAhead: (cards) => registry.readAhead(cards),
    admitRecords: (records) => registry.admitRecords(records),
    admitHead: (envelope) => registry.admitHead(envelope),
    admitProof: (first, second) => registry.admitProof(first, second),
    admitHoldings: (current, base) => registry.admitHoldings(current, base),

    mayRead: (publisher, key, reader) => registry.audiences.mayRead(publisher, key, reader),
    mayReadRecord: (record, reader) => registry.audiences.mayReadRecord(record, reader),
    isShared: (cid, reader) => registry.isShared(cid, reader),
    tree: (cid) => registry.tree(cid),
    keepTree: (cid, nodes) => registry.keepTree(cid, nodes),
    blobKept: (cid, size) => registry.blobKept(cid, size),
    provided: (limit) => provided(registry).slice(0, limit),

    knownPeers: () => catalogue.peers(),
    keepPeer: (peer) => catalogue.putPeer(peer),
    forgetPeer: (peer) => catalogue.removePeer(peer),
    profileUrl: (publisher) => registry.profile(publisher)?.url ?? null,
    onTrust: (listener) => registry.on('trust', listener),
  }
}
