import assert from 'node:assert/strict'
import { expectOk } from '../../../protocol/errors.ts'
import { startNode, stopNodes } from '../../helpers/network.ts'
import { TestPublisher } from '../../helpers/publisher.ts'
import { admit } from '../../helpers/registry.ts'

describe('daemon/net/sync, cards', () => {
  stopNodes()

  for (const isMember of [true, false]) {
    const who = isMember ? 'a member' : 'a stranger'
    it(`${isMember ? 'are' : 'are not'} read before the signatures of what ${who} passes on`, async () => {
      const [a, b, c] = ['a', 'b', 'c'].map((name) => new TestPublisher(name)) as [
        TestPublisher,
        TestPublisher,
        TestPublisher,
      ]
      const from = await startNode(b, { trusts: [a, c] })
      expectOk(from.registry.admitIdentity(a.publisher, a.operations, 0))
      const models = ['one', 'two', 'three', 'four'].map((name) => a.model({ name }))
      admit(from.registry, ...models)
      const to = await startNode(c, { trusts: isMember ? [a, b] : [a] })
      let ahead = 0
      to.registry.readAhead = async (cards) => {
        ahead += cards.length
      }
      await to.network.connect(from.address)
      await to.network.syncNow()
      for (const { signed } of models) {
        assert.ok(to.registry.catalogue.model(signed.id), 'it came all the same')
      }
      assert.equal(ahead, isMember ? models.length : 0)
    })
  }
})
