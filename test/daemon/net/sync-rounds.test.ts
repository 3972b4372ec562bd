import assert from 'node:assert/strict'
import type { Archive } from '../../../daemon/net/archive.ts'
import { type Peer, PeerBook } from '../../../daemon/net/peers.ts'
import type { SyncReport, SyncService } from '../../../daemon/net/sync.ts'
import { SYNC_INTERVAL_MS, SyncRounds } from '../../../daemon/net/sync-rounds.ts'

const clock = { now: () => 1000 }
const REPORT = { ok: true, more: false } as SyncReport

/** Rounds over some peers, of which a test decides when time is over. */
function roundsOf(names: readonly string[], draws: readonly number[] = [0.5]) {
  const book = new PeerBook(clock, {} as Archive)
  for (const name of names) book.get(name).isConnected = true
  const stop = new AbortController()
  const slept: number[] = []
  const synced: string[] = []
  const reports: SyncReport[] = []
  let [under, most, drawn] = [0, 0, 0]
  let wake: (() => void) | null = null
  const outcome = new Map<string, SyncReport>()
  const sync = {
    async sync(peer: Peer) {
      synced.push(peer.id)
      under++
      most = Math.max(most, under)
      const report = outcome.get(peer.id) ?? REPORT
      await Promise.resolve()
      under--
      return report
    },
    idle: () => Promise.resolve(),
  } as unknown as SyncService
  let asleep = Promise.withResolvers<void>()
  const rounds = new SyncRounds({
    sync,
    book,
    clock,
    random: () => draws[drawn++ % draws.length] ?? 0,
    signal: stop.signal,
    sleep(ms) {
      slept.push(ms)
      return new Promise((resolve) => {
        wake = resolve
        asleep.resolve()
      })
    },
    onReport: (report) => reports.push(report),
    visit: () => Promise.reject(new Error('a peer that cannot be visited')),
    finish: () => Promise.reject(new Error('nothing to finish')),
  })
  const running = rounds.repeat()
  return {
    book,
    rounds,
    slept,
    synced,
    reports,
    outcome,
    most: () => most,
    /** Lets the time to the next round be over, and the round come to its end. */
    async round() {
      await asleep.promise
      asleep = Promise.withResolvers()
      wake?.()
      await asleep.promise
    },
    async end() {
      stop.abort()
      wake?.()
      await running
    },
  }
}

describe('daemon/net/sync-rounds', () => {
  it('compares with all connected peers in each round, four at a time', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    const test = roundsOf([...names, 'gone'])
    test.book.get('gone').isConnected = false
    await test.round()
    assert.deepEqual(test.synced.toSorted(), names)
    assert.equal(test.most(), 4)
    await test.round()
    assert.equal(test.synced.length, 2 * names.length)
    assert.equal(test.book.get('a').lastSync, clock.now())
    await test.end()
  })

  it('waits a fifth more or less between rounds, so that nodes do not act in step', async () => {
    const test = roundsOf([], [0, 0.5, 0.999])
    for (let n = 0; n < 3; n++) await test.round()
    const [least = 0, middle = 0, most = 0] = test.slept
    assert.equal(least, 0.8 * SYNC_INTERVAL_MS)
    assert.equal(middle, SYNC_INTERVAL_MS)
    assert.ok(most > 1.19 * SYNC_INTERVAL_MS && most < 1.2 * SYNC_INTERVAL_MS)
    await test.end()
  })

  it('goes on at once with a peer that has more, and asks it once however often it is told', async () => {
    const test = roundsOf(['a'])
    const peer = test.book.get('a')
    test.outcome.set('a', { ...REPORT, more: true })
    const first = test.rounds.now(peer)
    await Promise.resolve()
    test.outcome.delete('a')
    await first
    await new Promise(setImmediate)
    assert.deepEqual(test.synced, ['a', 'a'])
    for (let n = 0; n < 5; n++) test.rounds.soon(peer)
    await new Promise(setImmediate)
    assert.deepEqual(test.synced, ['a', 'a', 'a'])
    assert.equal(test.reports.length, 3)
    await test.end()
    test.rounds.soon(peer)
    await new Promise(setImmediate)
    assert.equal(test.synced.length, 3)
  })
})
