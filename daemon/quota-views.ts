/** Limits that are met, as the operator sees them: of publishers, of this node, of peers. */
import type { QuotaView } from '../protocol/api.ts'
import type { QuotaState } from '../registry/quotas.ts'
import type { Registry } from '../registry/registry.ts'
import type { Network } from './net/network.ts'
import { FAULTS_PER_MINUTE } from './net/peers.ts'
import type { Views } from './views.ts'

const LEFT_OUT: Readonly<Record<QuotaView['kind'], string>> = {
  records: 'its newer records, but withdrawals',
  profiles: 'its newer profiles',
  models: 'its newer models, and what follows them in their logs',
  bytes: 'files of its models',
  mirror: 'files of models of others',
  disk: 'records and files of others',
  faults: 'the peer',
}

export function quotaViews(
  registry: Registry,
  network: Pick<Network, 'peers'>,
  views: Views,
): readonly QuotaView[] {
  const ofNode = registry.quotas.states().map((state) => viewOf(state, views))
  const ofPeers = network.peers().flatMap(({ peer, publisher, shutOut }) => {
    if (shutOut === null) return []
    const { since, until } = shutOut
    const state = { publisher, kind: 'faults', limit: FAULTS_PER_MINUTE, since, until } as const
    return [{ ...viewOf(state, views), peer }]
  })
  return [...ofNode, ...ofPeers]
}

function viewOf(
  state: Omit<QuotaState, 'kind'> & Pick<QuotaView, 'kind'>,
  views: Views,
): QuotaView {
  const { publisher, kind, limit, since, until } = state
  return {
    publisher: publisher === null ? null : views.publisher(publisher),
    peer: null,
    kind,
    limit,
    since: new Date(since).toISOString(),
    until: until === null ? null : new Date(until).toISOString(),
    leftOut: LEFT_OUT[kind],
  }
}
