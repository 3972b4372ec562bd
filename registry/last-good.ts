/** The last good record of an own log: where an operation of the root cuts it. */
import type { Cid } from '../protocol/cid.ts'
import type { Device } from '../protocol/device.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { nextPlace } from '../protocol/log.ts'
import {
  comparePositions,
  type LogPosition,
  type Position,
  peekRecord,
} from '../protocol/record.ts'
import { newestRecord } from './device-key.ts'
import { healCommand } from './fork.ts'
import type { Registry } from './registry.ts'

/**
 * Where a log is cut: at the newest record that is known here, before all records, or at a record
 * by its place or its id. The id also finds one of the other branch of a fork.
 */
export type CutAt = 'newest' | 'none' | Position | Cid

/**
 * The record that a cut names; null: none is good.
 * @param isHere whether this machine signs the log
 * @throws ZoariumError NOT_FOUND where no record is at the place; for the newest one CONTESTED,
 * SELF_UNSURE or GAP where it is in doubt
 */
export function lastGood(
  registry: Registry,
  device: Device,
  at: CutAt,
  isHere: boolean,
): LogPosition | null {
  if (at === 'none') return null
  if (at === 'newest') return newest(registry, device, isHere)
  const { key } = device
  const found =
    typeof at === 'object'
      ? (registry.catalogue.recordAt(registry.publisher, key, at)?.envelope ?? null)
      : envelopeOf(registry, key, at)
  if (found !== null) {
    const { epoch, seq, id: tip } = expectOk(peekRecord(found))
    return { epoch, seq, tip }
  }
  const headed = newestRecord(registry, key)
  if (headed !== null && headed.tip === at) return headed
  throw new ZoariumError('NOT_FOUND', 'no record of that key is known at that place', {
    field: 'at',
    got: typeof at === 'object' ? `${at.epoch}.${at.seq}` : at,
  })
}

/** A record of a log by its id, be it on the other branch of a fork or taken back. */
function envelopeOf({ catalogue, publisher }: Registry, key: string, id: Cid): Uint8Array | null {
  const kept = catalogue.record(id)?.envelope
  const others = [...(catalogue.proof(publisher, key) ?? []), ...catalogue.evidence(publisher)]
  const all = kept === undefined ? others : [kept, ...others]
  return (
    all.find((envelope) => {
      const header = expectOk(peekRecord(envelope))
      return header.id === id && header.key === key && header.publisher === publisher
    }) ?? null
  )
}

function newest(registry: Registry, device: Device, isHere: boolean): LogPosition | null {
  const { catalogue, publisher, signer } = registry
  const { key } = device
  const log = catalogue.log(publisher, key)
  if (catalogue.proof(publisher, key) !== null) {
    throw new ZoariumError('CONTESTED', 'the log has forked, and its newest record is in doubt', {
      got: key,
      hint: `settle the fork first: ${healCommand({ ...(log ?? { epoch: 0, seq: 0 }), key })}`,
    })
  }
  const unsure = isHere ? signer.whyBehind(catalogue, key, nextPlace(log, device.cuts)) : null
  if (unsure !== null) throw ZoariumError.of(unsure)
  const last = newestRecord(registry, key)
  const named = device.cuts.at(-1)?.last ?? null
  const isBlank = catalogue.heads(publisher).length === 0
  if (last === null && named === null && (!isHere || isBlank)) {
    // As good as certain that the records are elsewhere: a cut would make all of them void.
    throw new ZoariumError('GAP', 'no record of that key is known here', {
      got: key,
      hint: 'take in its records or a file of keys export; --at none where it has signed none',
    })
  }
  // The root has vouched for what it named, even where it has not come here yet.
  if (named === null) return last
  return last !== null && comparePositions(last, named) > 0 ? last : named
}
