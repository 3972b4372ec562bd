import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { cidOf } from '../../protocol/cid.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import { fileLedger } from '../../registry/key-files.ts'
import {
  EMPTY_LEDGER,
  type Ledger,
  type LedgerState,
  memoryLedger,
  type SignedPosition,
} from '../../registry/ledger.ts'
import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { purposeOf } from '../../registry/purpose.ts'
import { Signer } from '../../registry/signer.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { describeModel, TestPublisher, utf8 } from '../helpers/publisher.ts'

/** A position in the epoch of all that is signed here. */
const NEXT = { epoch: 0, seq: 9 }

describe('registry/signer', () => {
  let embl: TestPublisher
  let catalogue: MemoryCatalogue
  beforeEach(() => {
    embl = new TestPublisher('embl')
    catalogue = new MemoryCatalogue()
  })

  const signerOf = (ledger = memoryLedger()): Signer =>
    new Signer({ publisher: embl.publisher, seeds: embl.seeds, ledger })
  /** Appends a record to the catalogue as if this node had signed it. */
  const append = (name: string): SignedPosition => {
    const { signed } = embl.model({ name })
    catalogue.appendRecord(signed, { description: describeModel({ name }) })
    return { epoch: 0, seq: signed.record.seq, id: signed.id }
  }

  it('has a key for each scope, and says where one is missing', () => {
    const signer = signerOf()
    assert.equal(signer.device('publish').key, embl.key('publish'))
    assert.deepEqual(signer.device('serve').seed, embl.seeds.serve)
    assert.deepEqual(signer.purposes(), ['publish', 'serve'])
    const seeds = { publish: null, serve: embl.seeds.serve }
    const serving = new Signer({ publisher: embl.publisher, seeds, ledger: memoryLedger() })
    assert.deepEqual(serving.purposes(), ['serve'])
    assert.throws(() => serving.device('publish'), { code: 'SCOPE' })
  })

  it('tells how to get the keys that a new node does not have', () => {
    for (const [purpose, command] of [
      ['erase', /zoarium keys delegate erase/],
      ['private', /zoarium keys confide/],
    ] as const) {
      assert.throws(
        () => signerOf().device(purpose),
        (error: ZoariumError) => error.code === 'SCOPE' && command.test(error.data.hint ?? ''),
      )
    }
  })

  it('signs attestations with the key to serve, erasures with that to erase, the rest with that to publish', () => {
    const { record: target } = embl.model({ name: 'a' }).signed
    const { record: profile } = embl.profile('embl')
    for (const each of [target, profile]) assert.equal(purposeOf(each), 'publish')
    assert.equal(purposeOf(embl.roster('a', []).record), 'publish')
    assert.equal(purposeOf(embl.vouch(embl.model({ name: 'a' }).signed).record), 'serve')
    const verbs = { yank: 'publish', recall: 'publish', erase: 'erase', restore: 'erase' } as const
    for (const [verb, scope] of Object.entries(verbs)) {
      // SAFE: a key of the record above.
      const body = {
        target: embl.publisher,
        verb: verb as keyof typeof verbs,
        reason: 'a',
        note: '',
      }
      assert.equal(purposeOf({ kind: 'withdraw', body }), scope)
    }
  })

  it('is sure with nothing signed, at the same record, and behind the catalogue', () => {
    const signer = signerOf()
    assert.equal(signer.whyUnsure(catalogue, embl.key(), NEXT), null)
    signer.prepare(embl.key(), append('a')).commit()
    assert.equal(signer.whyUnsure(catalogue, embl.key(), NEXT), null)
    append('b')
    assert.equal(signer.whyUnsure(catalogue, embl.key(), NEXT), null)
  })

  it('is unsure ahead of the catalogue, as after the restore of a backup', () => {
    const signer = signerOf()
    append('a')
    const lost = { epoch: 0, seq: 1, id: embl.model({ name: 'b' }).signed.id }
    signer.prepare(embl.key(), lost).commit()
    assert.equal(signer.whyUnsure(catalogue, embl.key(), NEXT)?.code, 'SELF_UNSURE')
    assert.equal(signer.whyUnsure(catalogue, embl.key('serve'), NEXT), null)
    assert.equal(signer.whyUnsure(new MemoryCatalogue(), embl.key(), NEXT)?.code, 'SELF_UNSURE')
  })

  it('is unsure where a head has come back of records that are not here', () => {
    append('a')
    const { signed } = embl.model({ name: 'b' })
    const head = embl.head(signed)
    catalogue.putHead(embl.publisher, embl.key(), head, embl.now)
    const signer = signerOf()
    signer.begin(catalogue)
    assert.equal(signer.whyUnsure(catalogue, embl.key(), NEXT)?.code, 'SELF_UNSURE')
    assert.equal(signer.whyUnsure(catalogue, embl.key(), { epoch: 1, seq: 0 }), null)
    signer.insist(catalogue)
    assert.equal(signer.whyUnsure(catalogue, embl.key(), NEXT)?.code, 'SELF_UNSURE')
    catalogue.appendRecord(signed, { description: describeModel({ name: 'b' }) })
    assert.equal(signer.whyUnsure(catalogue, embl.key(), NEXT), null)
  })

  it('is unsure where another record stands at its position', () => {
    const signer = signerOf()
    append('a')
    const other = { epoch: 0, seq: 0, id: cidOf('dag-cbor', utf8('another')) }
    signer.prepare(embl.key(), other).commit()
    assert.equal(signer.whyUnsure(catalogue, embl.key(), NEXT)?.code, 'SELF_UNSURE')
  })

  it('is sure in a new epoch, where nothing can have been signed', () => {
    const signer = signerOf()
    append('a')
    const lost = { epoch: 0, seq: 1, id: embl.model({ name: 'b' }).signed.id }
    signer.prepare(embl.key(), lost).commit()
    assert.equal(signer.whyUnsure(catalogue, embl.key(), { epoch: 1, seq: 0 }), null)
  })

  it('does not count a position whose record was never kept', () => {
    const ledger = memoryLedger()
    const signer = signerOf(ledger)
    signer.prepare(embl.key(), { epoch: 0, seq: 0, id: cidOf('dag-cbor', utf8('x')) }).drop()
    assert.equal(signer.whyUnsure(catalogue, embl.key(), NEXT), null)
    assert.equal(ledger.read()?.positions.size, 0)
  })

  it('catches up with a catalogue that is ahead, and only then', () => {
    const ledger = memoryLedger()
    const signer = signerOf(ledger)
    append('a')
    const tip = append('b')
    signer.catchUp(catalogue)
    assert.deepEqual([...(ledger.read()?.positions ?? [])], [[embl.key(), tip]])
    signer.catchUp(new MemoryCatalogue())
    assert.deepEqual([...(ledger.read()?.positions ?? [])], [[embl.key(), tip]])
  })

  it('remembers across restarts what it signed with each key', () => {
    const file = path.join(temporaryFolder(), 'last-signed.json')
    const signer = signerOf(fileLedger(file))
    const tip = append('a')
    signer.prepare(embl.key(), tip).commit()
    const other = { epoch: 0, seq: 7, id: tip.id }
    signer.prepare(embl.key('serve'), other).commit()
    const kept = fileLedger(file).read()?.positions
    assert.deepEqual(kept?.get(embl.key()), tip)
    assert.deepEqual(kept?.get(embl.key('serve')), other)
  })

  describe('in doubt', () => {
    let keys: readonly string[]
    let shared: LedgerState
    beforeEach(() => {
      keys = [embl.key(), embl.key('serve')]
      shared = { ...EMPTY_LEDGER, shared: new Set(keys) }
    })
    const why = (signer: Signer) => signer.whyUnsure(catalogue, embl.key(), NEXT)?.code ?? null

    it('is not, where the node was stopped in order', () => {
      const ledger = memoryLedger(shared)
      const first = signerOf(ledger)
      first.begin(catalogue)
      first.end()
      assert.equal(why(signerOf(ledger)), null)
    })

    it('is after a kill, until a peer confirms', () => {
      const ledger = memoryLedger(shared)
      signerOf(ledger).begin(catalogue)
      const signer = signerOf(ledger)
      assert.equal(signer.isInDoubt, true)
      assert.equal(why(signer), 'SELF_UNSURE')
      signer.confirm(keys)
      assert.equal(why(signer), null)
    })

    it('is of each log until a peer confirms that one, and never of one that was not shared', () => {
      const signer = signerOf(
        memoryLedger({ ...shared, shared: new Set(keys), unsettled: new Set(keys) }),
      )
      signer.confirm([embl.key('serve')])
      assert.equal(signer.isInDoubt, true)
      assert.equal(why(signer), 'SELF_UNSURE')
      assert.equal(signer.whyUnsure(catalogue, embl.key('serve'), NEXT), null)
      // It stays so over a stop in order, of that log alone.
      const ledger = memoryLedger({ ...shared, unsettled: new Set([embl.key()]) })
      const second = signerOf(ledger)
      second.begin(catalogue)
      second.end()
      assert.deepEqual(ledger.read()?.unsettled, new Set([embl.key()]))
      const other = signerOf(
        memoryLedger({ ...EMPTY_LEDGER, shared: new Set([embl.key('serve')]) }),
      )
      other.begin(catalogue)
      assert.equal(why(other), null)
    })

    it('is of all, where the ledger was lost', () => {
      const signer = signerOf(memoryLedger(null))
      assert.equal(why(signer), 'SELF_UNSURE')
      signer.confirm(keys)
      assert.equal(why(signer), null)
    })

    it('stays so over a stop in order', () => {
      const ledger = memoryLedger(shared)
      signerOf(ledger).begin(catalogue)
      const second = signerOf(ledger)
      second.begin(catalogue)
      second.end()
      assert.equal(signerOf(ledger).isInDoubt, true)
    })

    it('never is, where nothing was given away', () => {
      const ledger = memoryLedger()
      const first = signerOf(ledger)
      first.begin(catalogue)
      first.prepare(embl.key(), append('a')).commit()
      const signer = signerOf(ledger)
      assert.equal(why(signer), null)
      // The catalogue was lost; nobody has the record.
      catalogue = new MemoryCatalogue()
      signer.begin(catalogue)
      assert.equal(why(signer), null)
    })

    it('is durable that records were given away', () => {
      const ledger = memoryLedger()
      const signer = signerOf(ledger)
      signer.share(embl.key())
      signer.share('00'.repeat(32))
      const { shared, unsettled } = ledger.read() ?? {}
      assert.deepEqual([shared, unsettled], [new Set([embl.key()]), new Set([embl.key()])])
    })

    it('believes the operator', () => {
      const ledger = memoryLedger(shared)
      const first = signerOf(ledger)
      first.begin(catalogue)
      first.prepare(embl.key(), append('a')).commit()
      catalogue = new MemoryCatalogue()
      const signer = signerOf(ledger)
      signer.begin(catalogue)
      signer.confirm(keys)
      assert.equal(why(signer), 'SELF_UNSURE')
      signer.insist(catalogue)
      assert.equal(why(signer), null)
      assert.equal(ledger.read()?.positions.size, 0)
    })

    it('begins and ends with a full disk, and signs as a node that was not stopped', () => {
      let isFull = true
      const kept = memoryLedger(shared)
      const ledger: Ledger = {
        read: () => kept.read(),
        prepare: (state) => {
          if (isFull) throw new ZoariumError('DISK_FULL', 'no space is left')
          return kept.prepare(state)
        },
      }
      const signer = signerOf(ledger)
      signer.begin(catalogue)
      signer.end()
      assert.equal(kept.read()?.unsettled.size, 0)
      isFull = false
      signer.prepare(embl.key(), append('a')).commit()
      assert.equal(kept.read()?.unsettled.size, 2)
    })

    it('takes a ledger that is missing for one that was lost', () => {
      const signer = signerOf(fileLedger(path.join(temporaryFolder(), 'last-signed.json')))
      assert.equal(why(signer), 'SELF_UNSURE')
    })
  })

  it('says when its ledger is damaged', () => {
    const file = path.join(temporaryFolder(), 'last-signed.json')
    for (const text of [
      '{',
      '[]',
      '{"version":1,"logs":{"k":{"seq":1}}}',
      '{"version":1,"logs":7}',
    ]) {
      fs.writeFileSync(file, text)
      assert.throws(
        () => signerOf(fileLedger(file)),
        (error: { code: string }) => ['STORE', 'NEWER_STORE'].includes(error.code),
      )
    }
    fs.writeFileSync(file, '{"version":2}')
    assert.throws(() => signerOf(fileLedger(file)), { code: 'NEWER_STORE' })
  })
})
