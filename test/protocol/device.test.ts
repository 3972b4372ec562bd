import assert from 'node:assert/strict'
import fc from 'fast-check'
import { cidOf } from '../../protocol/cid.ts'
import {
  applyToDevices,
  byDigits,
  checkPosition,
  type Device,
  isSettled,
  isVouched,
} from '../../protocol/device.ts'
import { expectOk } from '../../protocol/errors.ts'
import type { DeviceOperation } from '../../protocol/identity-operation.ts'
import { comparePositions } from '../../protocol/record.ts'
import { START, utf8 } from '../helpers/publisher.ts'

const key = 'ab'.repeat(32)
const place = { n: 1, prev: null, ts: START, key }
const tipOf = (name: string) => cidOf('dag-cbor', utf8(name))
const delegated = (): readonly Device[] => {
  const times = { notBefore: START, notAfter: START + 1000 }
  return expectOk(applyToDevices([], { ...place, op: 'delegate', scope: 'publish', ...times }, 1))
}

const positions = fc.record({ epoch: fc.nat(4), seq: fc.nat(6) })
const lasts = positions.map(({ epoch, seq }) => ({ epoch, seq, tip: tipOf(`${epoch}.${seq}`) }))
const operations: fc.Arbitrary<DeviceOperation> = fc.oneof(
  fc.record({
    ...constants('renew'),
    last: fc.option(lasts),
    notAfter: fc.nat(9000).map((more) => START + more),
  }),
  fc.record({ ...constants('epoch'), last: fc.option(lasts) }),
  fc.record({ ...constants('heal'), last: lasts }),
  fc.record({
    ...constants('revoke'),
    last: fc.option(lasts),
    reason: fc.constant('lost' as const),
  }),
)
function constants<const O extends string>(op: O) {
  return {
    op: fc.constant(op),
    n: fc.constant(1),
    prev: fc.constant(null),
    ts: fc.constant(START),
    key: fc.constant(key),
  }
}

/** The device after each operation that was taken. */
function statesOf(list: readonly DeviceOperation[]): readonly Device[] {
  let devices = delegated()
  const states: Device[] = [...devices]
  for (const each of list) {
    const applied = applyToDevices(devices, each, 2)
    if (!applied.ok) continue
    devices = applied.value
    states.push(...devices)
  }
  return states
}

describe('protocol/device', () => {
  it('finds a key by its first 8 digits or more', () => {
    const keys = ['0123456789'.padEnd(64, '0'), '0123456789'.padEnd(64, '1')].map((key) => ({
      key,
    }))
    const find = (digits: string) => {
      const verdict = byDigits(keys, digits)
      return verdict.ok ? keys.indexOf(verdict.value) : verdict.code
    }
    assert.deepEqual(
      ['01234567891', '01234567890', '01234567', '1123456789', '0123456', 'x0123456789'].map(find),
      [1, 0, 'AMBIGUOUS', 'NOT_FOUND', 'USAGE', 'USAGE'],
    )
    assert.equal(find(keys[1]?.key ?? ''), 1)
    assert.equal(find(`${keys[1]?.key}0`), 'USAGE')
  })

  it('never takes back what the root has vouched for', () => {
    fc.assert(
      fc.property(fc.array(operations, { maxLength: 12 }), positions, (list, position) => {
        const states = statesOf(list)
        const stood = states.findIndex(
          (device) => isVouched(device, position) && checkPosition(device, position).ok,
        )
        if (stood < 0) return
        for (const device of states.slice(stood)) assert(checkPosition(device, position).ok)
      }),
    )
  })

  it('never opens what it has closed', () => {
    fc.assert(
      fc.property(fc.array(operations, { maxLength: 12 }), positions, (list, position) => {
        const states = statesOf(list)
        const closed = states.findIndex(
          (device) => position.epoch <= device.epoch && !checkPosition(device, position).ok,
        )
        if (closed < 0) return
        for (const device of states.slice(closed)) {
          assert(!checkPosition(device, position).ok)
          assert(isSettled(device, position))
        }
      }),
    )
  })

  it('leaves a position open after the newest cut, unless the key is revoked', () => {
    fc.assert(
      fc.property(fc.array(operations, { maxLength: 12 }), positions, (list, position) => {
        const device = statesOf(list).at(-1) ?? assert.fail()
        const last = device.cuts.at(-1)?.last ?? null
        const isAfter = last === null || comparePositions(position, last) > 0
        if (position.epoch !== device.epoch || !isAfter) return
        assert.equal(checkPosition(device, position).ok, device.revoked === null)
        assert.equal(isSettled(device, position), device.revoked !== null)
      }),
    )
  })
})
