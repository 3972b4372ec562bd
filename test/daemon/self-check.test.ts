import assert from 'node:assert/strict'
import { createLog } from '../../daemon/log.ts'
import type { NetworkEvents } from '../../daemon/net/network.ts'
import { ASK_MS, SelfCheck } from '../../daemon/self-check.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import { EMPTY_LEDGER, memoryLedger } from '../../registry/ledger.ts'
import type { Registry } from '../../registry/registry.ts'
import { Signer } from '../../registry/signer.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { testRegistry } from '../helpers/test-registry.ts'

const PROFILE = { label: 'here', displayName: 'Here', handle: null, url: null, ror: null }
const report = {
  peer: 'p',
  ok: true,
  error: null,
  records: 0,
  bytes: 0,
  roundTrips: 1,
  ms: 1,
  behind: false,
  more: false,
  refused: [],
}

describe('daemon/self-check', () => {
  let registry: Registry
  let hear: (event: NetworkEvents['sync']) => void
  let timeIsOver: () => void
  let waited: number
  let keys: readonly string[]

  /** A node whose ledger says how it was stopped, and a network that tells of syncs. */
  async function start(isClean: boolean, isShared: boolean, isAlone = false): Promise<SelfCheck> {
    const embl = new TestPublisher('here')
    const { publisher, seeds } = embl
    keys = [embl.key(), embl.key('serve')]
    const shared = new Set(isShared ? keys : [])
    const ledger = memoryLedger({
      ...EMPTY_LEDGER,
      shared,
      unsettled: new Set(isClean ? [] : shared),
    })
    const made = await testRegistry('here', { signer: new Signer({ publisher, seeds, ledger }) })
    registry = made.registry
    const check = new SelfCheck({
      registry,
      network: {
        on: (_, listener) => {
          hear = listener as typeof hear
          return () => {
            hear = () => {}
          }
        },
      },
      log: createLog('silent'),
      isAlone,
      sleep: (ms) => {
        waited = ms
        return new Promise((resolve) => {
          timeIsOver = resolve
        })
      },
    })
    hear = () => {}
    check.start()
    return check
  }

  const publish = () => registry.publishProfile(PROFILE)

  it('asks nobody after a stop in order, and nobody where no record was given away', async () => {
    for (const [isClean, isShared] of [
      [true, true],
      [false, false],
    ] as const) {
      const check = await start(isClean, isShared)
      assert.equal(check.isAsking, false)
      publish()
    }
  })

  it('waits its time for peers, and signs when one has confirmed', async () => {
    const check = await start(false, true)
    assert.deepEqual([check.isAsking, waited], [true, ASK_MS])
    assert.throws(publish, { code: 'SELF_UNSURE' })
    assert.deepEqual(registry.heads(), [])
    hear({ ...report, confirms: keys })
    // Others may know more: the whole time is theirs.
    assert.throws(publish, { code: 'SELF_UNSURE' })
    timeIsOver()
    await check.settled()
    assert.equal(check.isAsking, false)
    publish()
  })

  it('stays unsure where nobody answers who follows it, and is sure once one does', async () => {
    const check = await start(false, true)
    hear({ ...report, confirms: [] })
    timeIsOver()
    await check.settled()
    assert.throws(publish, { code: 'SELF_UNSURE' })
    assert.equal(registry.whyUnsure()?.code, 'SELF_UNSURE')
    hear({ ...report, confirms: keys })
    // The first to come back may know less than the next.
    assert.throws(publish, { code: 'SELF_UNSURE' })
    assert.equal(check.isAsking, true)
    timeIsOver()
    await check.settled()
    publish()
    assert.equal(registry.whyUnsure(), null)
  })

  it('stays unsure of a log that only some peers may read', async () => {
    const check = await start(false, true)
    const [publishing = '', serving = ''] = keys
    hear({ ...report, confirms: [serving] })
    timeIsOver()
    await check.settled()
    assert.throws(publish, { code: 'SELF_UNSURE' })
    assert.equal(registry.whyUnsure(['serve']), null)
    assert.equal(registry.whyUnsure(['publish'])?.code, 'SELF_UNSURE')
    hear({ ...report, confirms: [serving] })
    assert.equal(check.isAsking, false, 'that is no news')
    hear({ ...report, confirms: [publishing] })
    timeIsOver()
    await check.settled()
    publish()
  })

  it('believes the operator that it is alone', async () => {
    const check = await start(false, true, true)
    assert.equal(check.isAsking, false)
    publish()
  })

  it('lives on where its heads cannot be renewed now', async () => {
    const check = await start(false, true)
    registry.heads = () => {
      throw new ZoariumError('STORE', 'disk I/O error')
    }
    hear({ ...report, confirms: keys })
    timeIsOver()
    await check.settled()
    assert.equal(registry.whyUnsure(), null)
  })

  it('stops while it waits', async () => {
    const check = await start(false, true)
    const stopping = check.stop()
    timeIsOver()
    await stopping
    assert.throws(publish, { code: 'SELF_UNSURE' })
  })
})
