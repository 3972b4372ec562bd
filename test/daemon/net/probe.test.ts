/** Asking a peer for a part of what it says it holds. */
import assert from 'node:assert/strict'
import { LEAF_BYTES } from '../../../protocol/limits.ts'
import { startNode, stopNodes, type TestNode } from '../../helpers/network.ts'
import { type TestModel, TestPublisher } from '../../helpers/publisher.ts'
import { admit, keepFiles } from '../../helpers/registry.ts'

const [a, b] = ['a', 'b'].map((name) => new TestPublisher(name)) as [TestPublisher, TestPublisher]

describe('daemon/net/probe', () => {
  stopNodes()

  let model: TestModel
  let asker: TestNode
  let holder: TestNode
  /** Which leaf is asked for, of 4. */
  let at = 0

  beforeEach(async () => {
    const weights = new Uint8Array(3 * LEAF_BYTES + 5).map((_, n) => n >> 12)
    model = new TestPublisher('a').model({ name: 'nuclei', weights })
    asker = await startNode(a, { trusts: [b], random: () => at / 4 })
    holder = await startNode(b, { trusts: [a] })
    holder.registry.admitIdentity(a.publisher, a.operations, 0)
    admit(holder.registry, model)
    await asker.network.connect(holder.address)
  })

  const weights = () => {
    const { record } = model.signed
    assert.equal(record.kind, 'model')
    const file = 'files' in record.body && record.body.files.find(({ role }) => role === 'weights')
    return file || assert.fail()
  }
  const gives = () => asker.network.gives(holder.network.peerId, weights())

  it('learns that it gives any part', async () => {
    await keepFiles(holder.registry, model)
    for (at of [0, 1, 3]) assert.equal(await gives(), 'gives')
  })

  it('learns that it lacks the file, or holds another one', async () => {
    at = 0
    assert.equal(await gives(), 'lacks')
    await keepFiles(holder.registry, model)
    const { cid, size } = weights()
    const other = { cid, size: size - 1 }
    assert.equal(await asker.network.gives(holder.network.peerId, other), 'lacks')
  })

  it('learns nothing of one that is not connected', async () => {
    assert.equal(await asker.network.gives('nobody', weights()), 'unknown')
    await holder.network.stop()
    assert.equal(await gives(), 'unknown')
  })
})
