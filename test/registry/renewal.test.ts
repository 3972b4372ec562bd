import assert from 'node:assert/strict'
import { RENEWAL_NOTICE_MS, renewals } from '../../registry/renewal.ts'
import { START, seedOf, TestPublisher } from '../helpers/publisher.ts'

describe('registry/renewal', () => {
  const embl = new TestPublisher('embl')
  const endOf = (scope: 'publish' | 'serve') =>
    embl.identity.devices.find((device) => device.scope === scope)?.notAfter ?? assert.fail()
  const scopes = (now: number) => renewals(embl.identity, now).map(({ scope }) => scope)

  it('names keys from 30 days before their end on, also when that has passed', () => {
    const due = endOf('serve') - RENEWAL_NOTICE_MS
    assert.deepEqual(scopes(due - 1), [])
    assert.deepEqual(scopes(due), ['publish', 'serve'])
    assert.deepEqual(scopes(endOf('serve') + 1), ['publish', 'serve'])
  })

  it('puts the next to end first, and leaves renewed and revoked ones out', () => {
    const due = endOf('publish')
    const notAfter = due + 1000
    embl.sign({ op: 'renew', key: embl.key('publish'), notAfter, last: null, ts: START })
    assert.deepEqual(scopes(due), ['serve', 'publish'])
    assert.deepEqual(scopes(due - RENEWAL_NOTICE_MS), ['serve'])
    const key = embl.key('serve')
    embl.sign({ op: 'revoke', key, last: null, reason: 'superseded', ts: START })
    embl.delegate('serve', seedOf('another machine'))
    assert.deepEqual(scopes(due), ['serve', 'publish'])
    assert.notEqual(renewals(embl.identity, due)[0]?.key, key)
  })
})
