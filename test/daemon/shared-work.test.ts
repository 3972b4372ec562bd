import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { SharedWork } from '../../daemon/shared-work.ts'

describe('daemon/shared-work', () => {
  const shared = () => new SharedWork<string>()
  const waiter = () => new AbortController()
  /** Work that a test ends; it stops by itself when it is given up. */
  const work = () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const calls: AbortSignal[] = []
    const run = (signal: AbortSignal): Promise<void> => {
      calls.push(signal)
      signal.addEventListener('abort', () => reject(signal.reason))
      return promise
    }
    return { run, resolve, reject, calls }
  }

  it('is done once for all who join, by key', async () => {
    const each = shared()
    const [a, b] = [work(), work()]
    const joined = [
      each.join('a', waiter().signal, a.run),
      each.join('a', waiter().signal, a.run),
      each.join('b', waiter().signal, b.run),
    ]
    await setImmediate()
    assert.deepEqual([a.calls.length, b.calls.length], [1, 1])
    a.resolve()
    b.resolve()
    await Promise.all(joined)
    const again = work()
    const last = each.join('a', waiter().signal, again.run)
    again.resolve()
    await last
    assert.equal(again.calls.length, 1)
  })

  it('fails for all who wait', async () => {
    const each = shared()
    const { run, reject } = work()
    const joined = [1, 2].map(() => each.join('a', waiter().signal, run))
    reject(new Error('broken'))
    for (const one of await Promise.allSettled(joined)) assert.equal(one.status, 'rejected')
  })

  it('goes on for the others when one leaves, whoever began it', async () => {
    const each = shared()
    const { run, resolve, calls } = work()
    const first = waiter()
    const leaving = each.join('a', first.signal, run)
    const staying = each.join('a', waiter().signal, run)
    first.abort(new Error('gone'))
    await assert.rejects(leaving, /gone/)
    assert.equal(calls[0]?.aborted, false)
    resolve()
    await staying
  })

  it('is given up when the last one leaves, and begun anew only after it has ended', async () => {
    const each = shared()
    const ended = Promise.withResolvers<void>()
    const calls: string[] = []
    const waiters = [waiter(), waiter()]
    const slow = async (signal: AbortSignal): Promise<void> => {
      calls.push('first')
      signal.addEventListener('abort', () => calls.push('given up'))
      await ended.promise
      throw signal.reason
    }
    const joined = waiters.map(({ signal }) => each.join('a', signal, slow))
    for (const each of waiters) each.abort(new Error('gone'))
    await Promise.allSettled(joined)
    assert.deepEqual(calls, ['first', 'given up'])
    const next = each.join('a', waiter().signal, async () => void calls.push('second'))
    await setImmediate()
    assert.deepEqual(calls, ['first', 'given up'])
    ended.resolve()
    await next
    assert.deepEqual(calls, ['first', 'given up', 'second'])
  })

  it('lets nobody wait whose signal is aborted already', async () => {
    const { run, calls } = work()
    const aborted = AbortSignal.abort(new Error('gone'))
    await assert.rejects(shared().join('a', aborted, run), /gone/)
    assert.equal(calls.length, 0)
  })

  it('says when nothing is done any more', async () => {
    const each = shared()
    await each.settled()
    const { run, resolve } = work()
    const joined = each.join('a', waiter().signal, run)
    let isSettled = false
    const settled = each.settled().then(() => {
      isSettled = true
    })
    await setImmediate()
    assert.equal(isSettled, false)
    resolve()
    await Promise.all([joined, settled])
  })
})
