import assert from 'node:assert/strict'
import { TopicValidatorResult } from '@libp2p/gossipsub'
import { type Archive, archiveOf } from '../../../daemon/net/archive.ts'
import { type GossipOptions, judgeGossip } from '../../../daemon/net/gossip.ts'
import { PeerBook } from '../../../daemon/net/peers.ts'
import { expectOk, ZoariumError } from '../../../protocol/errors.ts'
import { TOPICS } from '../../../protocol/message.ts'
import { bindingOf } from '../../helpers/network.ts'
import { TestPublisher } from '../../helpers/publisher.ts'
import { introduce, testRegistry } from '../../helpers/test-registry.ts'

const PEER = '12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBqdk3'

describe('daemon/net/gossip', () => {
  async function judge(change: Partial<Archive> = {}) {
    const { registry, clock } = await testRegistry()
    const embl = new TestPublisher('embl')
    introduce(registry, embl)
    const archive = { ...archiveOf(registry), ...change }
    const book = new PeerBook(clock, archive)
    const binding = bindingOf(embl, PEER, ['sync'], clock.now())
    expectOk(book.show(book.get(PEER), embl.publisher, binding))
    const behind: string[] = []
    const options: GossipOptions = {
      archive,
      book,
      clock,
      onHeartbeat: () => {},
      links: {
        publisherOf: (peer) => book.publisherOf(peer),
        open: () => Promise.reject(new TypeError('gossip opens no stream')),
        blame: () => true,
        pace: async () => {},
        behind: () => assert.fail('by a head'),
        heard: (peer) => void behind.push(peer.id),
      },
    }
    const head = embl.head(embl.model({ name: 'a' }).signed, clock.now())
    return { result: judgeGossip(options, TOPICS.heads, PEER, head), behind }
  }

  it('passes on a head that is ahead, and asks the peer for the records', async () => {
    assert.deepEqual(await judge(), { result: TopicValidatorResult.Accept, behind: [PEER] })
  })

  it('ignores what it has no room to keep; the peer is not at fault', async () => {
    const admitHead = () => {
      throw new ZoariumError('DISK_FULL', 'no space is left')
    }
    assert.deepEqual(await judge({ admitHead }), {
      result: TopicValidatorResult.Ignore,
      behind: [],
    })
  })

  it('does not hide a defect', async () => {
    const admitHead = () => {
      throw new TypeError('a defect')
    }
    await assert.rejects(judge({ admitHead }), TypeError)
  })
})
