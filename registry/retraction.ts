/**
 * Retraction: brings the logs of a publisher in line with what its root says. Records that a cut
 * makes void, and branches that do not lead to the record which a cut names, go as if they had
 * never come; they stay as evidence. docs/protocol.md, "Cuts".
 */
import type { Cid } from '../protocol/cid.ts'
import { checkPosition, type Device, deviceOf, isSettled, isVoid } from '../protocol/device.ts'
import { expectOk } from '../protocol/errors.ts'
import { headOf } from '../protocol/head.ts'
import type { Identity } from '../protocol/identity.ts'
import {
  comparePositions,
  type Position,
  peekRecord,
  type RecordHeader,
} from '../protocol/record.ts'
import type { Catalogue, LogRow } from './catalogue.ts'
import { forkOf } from './fork.ts'

/** Applies what a publisher's root says to all its logs here. */
export function applyCuts(catalogue: Catalogue, identity: Identity): void {
  const { publisher } = identity
  for (const log of catalogue.logs(publisher)) {
    const device = deviceOf(identity, log.key)
    const end = device.ok ? lastStanding(catalogue, log, device.value) : null
    if (end === null || comparePositions(log, end) > 0) {
      catalogue.retract(publisher, log.key, end)
    }
  }
  for (const { key, proof } of catalogue.proofs(publisher)) {
    const device = deviceOf(identity, key)
    if (device.ok && isSettled(device.value, forkOf(proof))) catalogue.settle(publisher, key)
  }
  dropHeads(catalogue, identity)
  dropRosters(catalogue, identity)
}

/**
 * Takes back what of a log follows the last cut that it leads to: it does not lead to the next one.
 * Sync then fetches the branch that does. A log beyond all its cuts stays as it is.
 */
export function retractBranch(catalogue: Catalogue, log: LogRow, device: Device): void {
  const lasts = device.cuts.flatMap(({ last }) => last ?? [])
  const isShort = lasts.some((last) => comparePositions(last, log) > 0)
  if (!isShort) return
  const reached = lasts.findLast((last) => comparePositions(last, log) <= 0) ?? null
  catalogue.retract(log.publisher, log.key, reached)
}

/** The newest record of a log that its cuts let stand; null: none. */
function lastStanding(catalogue: Catalogue, log: LogRow, device: Device): Position | null {
  const { publisher, key } = log
  let reached: Position | null = null
  for (const cut of device.cuts) {
    const { last } = cut
    if (last !== null) {
      if (comparePositions(log, last) < 0) return log
      const there = catalogue.recordAt(publisher, key, last)
      if (there === null || there.id !== last.tip) {
        return commonWith(catalogue, log, last) ?? reached
      }
      reached = last
    }
    const [next] = catalogue.recordsAfter(publisher, key, last, 1)
    if (next !== undefined && isVoid(cut, headerOf(next.envelope))) return last
  }
  return log
}

/**
 * The record before the fork, where the proof holds the record that the root named and it follows
 * ours: what both branches share need not be fetched again.
 */
function commonWith(
  catalogue: Catalogue,
  { publisher, key, proof }: LogRow,
  { tip }: { readonly tip: Cid },
): Position | null {
  const named = proof?.map(headerOf).find(({ id }) => id === tip)
  if (named === undefined || named.seq === 0) return null
  const before = { epoch: named.epoch, seq: named.seq - 1 }
  const there = catalogue.recordAt(publisher, key, before)
  return there !== null && there.id === named.prev ? before : null
}

/** A head beyond a cut would hide the heads that follow. */
function dropHeads(catalogue: Catalogue, identity: Identity): void {
  const { publisher } = identity
  for (const { key, envelope } of catalogue.heads(publisher)) {
    const device = deviceOf(identity, key)
    if (device.ok && checkPosition(device.value, headOf(envelope)).ok) continue
    // Nothing stands after its newest record: only the head goes.
    catalogue.retract(publisher, key, catalogue.log(publisher, key))
  }
}

/** Rosters by which somebody joined need not stand in a log that is here. */
function dropRosters(catalogue: Catalogue, identity: Identity): void {
  const { publisher } = identity
  const isVoidRoster = (record: Cid): boolean => {
    const row = catalogue.roster(record)
    if (row === null) return false
    const header = headerOf(row.envelope)
    const device = deviceOf(identity, header.key)
    return !device.ok || !checkPosition(device.value, header).ok
  }
  for (;;) {
    // Those that a void one replaced show only once it is gone.
    const gone = catalogue.rosters(publisher).filter(({ record }) => isVoidRoster(record))
    if (gone.length === 0) return
    for (const { record } of gone) catalogue.dropRoster(publisher, record)
  }
}

const headerOf = (envelope: Uint8Array): RecordHeader => expectOk(peekRecord(envelope))
