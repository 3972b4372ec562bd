import assert from 'node:assert/strict'
import { cidOf } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import {
  MAX_IDENTITY_OP_BYTES,
  MAX_ROSTER_CAR_BYTES,
  MAX_ROSTER_MEMBERS,
} from '../../protocol/limits.ts'
import { readRosterCar, writeRosterCar } from '../../protocol/roster-car.ts'
import { START, TestPublisher, utf8 } from '../helpers/publisher.ts'

const YEAR_MS = 365 * 24 * 3600 * 1000

describe('protocol/roster-car', () => {
  const issuer = new TestPublisher('issuer')
  const members = Array.from({ length: MAX_ROSTER_MEMBERS }, (_, n) =>
    cidOf('dag-cbor', utf8(`${n}`)),
  )
  const signed = issuer.roster('imaging', members)
  const { operations } = issuer
  const parts = { operations, head: issuer.head(signed), roster: signed.envelope }

  it('holds the largest roster, and all that verifies it', () => {
    const file = expectOk(writeRosterCar(parts))
    assert(file.length < MAX_ROSTER_CAR_BYTES)
    const { identity, body, newest, ...read } = expectOk(readRosterCar(file))
    assert.equal(identity.publisher, issuer.publisher)
    assert.deepEqual(body.members, members.sort())
    assert.deepEqual([newest.tip, read.signed.id], [signed.id, signed.id])
    assert.deepEqual(
      read.operations.map((each) => [...each]),
      operations.map((each) => [...each]),
    )
  })

  it('takes a head of any later position', () => {
    const later = issuer.tag('nuclei', 'stable', signed.id)
    const file = expectOk(writeRosterCar({ ...parts, head: issuer.head(later) }))
    assert.equal(expectOk(readRosterCar(file)).newest.tip, later.id)
  })

  it('is bounded, whoever writes it', () => {
    const padding = (count: number) =>
      Array.from({ length: count }, (_, n) => new Uint8Array(MAX_IDENTITY_OP_BYTES).fill(n))
    const fits = writeRosterCar({ ...parts, operations: padding(100) })
    assert(fits.ok)
    const over = writeRosterCar({ ...parts, operations: padding(128) })
    assert.deepEqual(over.ok || [over.code, over.limit], ['LIMIT', MAX_ROSTER_CAR_BYTES])
    const read = readRosterCar(new Uint8Array(MAX_ROSTER_CAR_BYTES + 1))
    assert.equal(read.ok || read.code, 'LIMIT')
  })

  it('takes no head from outside the time of its key, nor beyond a cut', () => {
    for (const [issued, code] of [
      [START, 'ok'],
      [START - 1, 'KEY_EXPIRED'],
      [START + YEAR_MS, 'ok'],
      [START + YEAR_MS + 1, 'KEY_EXPIRED'],
    ] as const) {
      const file = expectOk(writeRosterCar({ ...parts, head: issuer.head(signed, issued) }))
      const read = readRosterCar(file)
      assert.equal(read.ok ? 'ok' : read.code, code, `${issued - START}`)
    }
    const cut = new TestPublisher('cut')
    const first = cut.roster('imaging', [])
    const later = cut.tag('nuclei', 'stable', first.id)
    const head = cut.head(later)
    const { id: tip, record } = first
    const last = { epoch: record.epoch, seq: record.seq, tip }
    cut.sign({ op: 'revoke', key: cut.key(), last, ts: START, reason: 'stolen' })
    const beyond = { operations: cut.operations, head, roster: first.envelope }
    const read = readRosterCar(expectOk(writeRosterCar(beyond)))
    assert.equal(read.ok || read.code, 'KEY_REVOKED')
    const within = { ...beyond, head: cut.head(first) }
    assert(readRosterCar(expectOk(writeRosterCar(within))).ok)
  })
})
