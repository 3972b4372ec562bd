import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { cidOf } from '../../protocol/cid.ts'
import { fileJournal, type Journal, MaxSeen, memoryJournal } from '../../registry/max-seen.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestPublisher, utf8 } from '../helpers/publisher.ts'

const tip = cidOf('dag-cbor', utf8('tip'))

describe('registry/max-seen', () => {
  const { publisher } = new TestPublisher('embl')
  const at = (epoch: number, seq: number) => ({ epoch, seq, tip })

  for (const [name, open] of [
    ['in memory', () => memoryJournal()],
    ['on disk', () => fileJournal(path.join(temporaryFolder(), 'max-seen'))],
  ] as const) {
    describe(name, () => {
      let journal: Journal
      beforeEach(() => {
        journal = open()
      })

      it('never falls, also across a restart', () => {
        const seen = new MaxSeen(journal)
        assert.equal(seen.of(publisher, 'k'), null)
        for (const position of [at(0, 5), at(0, 3), at(1, 0), at(0, 9)]) {
          seen.note(publisher, 'k', position)
        }
        seen.note(publisher, 'other', at(0, 1))
        const again = new MaxSeen(journal)
        assert.deepEqual(again.of(publisher, 'k'), at(1, 0))
        assert.deepEqual(again.of(publisher, 'other'), at(0, 1))
      })

      it('is rewritten when it has grown', () => {
        const seen = new MaxSeen(journal)
        for (let seq = 0; seq < 10_010; seq++) seen.note(publisher, 'k', at(0, seq))
        assert.ok((journal.read() ?? '').split('\n').length < 20)
        assert.deepEqual(new MaxSeen(journal).of(publisher, 'k'), at(0, 10_009))
      })

      it('passes over lines that are cut off or damaged', () => {
        const seen = new MaxSeen(journal)
        seen.note(publisher, 'k', at(0, 5))
        journal.append(`${publisher} k 0 7 bafy\n${publisher} k x 8 ${tip}\n${publisher} k 0`)
        const again = new MaxSeen(journal)
        assert.deepEqual(again.of(publisher, 'k'), at(0, 5))
        again.note(publisher, 'k', at(0, 6))
        assert.deepEqual(new MaxSeen(journal).of(publisher, 'k'), at(0, 6))
      })
    })
  }

  it('is for the eyes of the owner', () => {
    const file = path.join(temporaryFolder(), 'max-seen')
    new MaxSeen(fileJournal(file)).note(publisher, 'k', at(0, 0))
    assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  })
})
