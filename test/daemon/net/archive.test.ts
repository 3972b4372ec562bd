import assert from 'node:assert/strict'
import { archiveOf } from '../../../daemon/net/archive.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { Holder } from '../../helpers/holdings.ts'
import { testClock } from '../../helpers/network.ts'
import { type TestModel, TestPublisher } from '../../helpers/publisher.ts'
import { admit, keepFiles, openTestRegistry, trust } from '../../helpers/registry.ts'

describe('daemon/net/archive', () => {
  it('tells the DHT of own models, then of those with too few copies', async () => {
    const [own, other, third, fourth] = ['a', 'b', 'c', 'd'].map(
      (name) => new TestPublisher(`archive ${name}`),
    ) as [TestPublisher, TestPublisher, TestPublisher, TestPublisher]
    const registry = await openTestRegistry(own, testClock)
    for (const each of [other, third, fourth]) {
      expectOk(registry.admitIdentity(each.publisher, each.operations, 0))
      trust(registry, each.publisher, 'mirror')
    }
    const model = (by: TestPublisher, name: string): TestModel => by.model({ name })
    const mine = model(own, 'mine')
    const [few, fewer, enough, absent] = ['few', 'fewer', 'enough', 'absent'].map((name) =>
      model(other, name),
    ) as [TestModel, TestModel, TestModel, TestModel]
    admit(registry, few, fewer, enough, absent, mine)
    for (const each of [few, fewer, enough, mine]) await keepFiles(registry, each)
    const id = ({ signed }: TestModel) => signed.id
    const says = (by: TestPublisher, ...models: TestModel[]) => {
      const { current, base } = new Holder(by).says(models.map(id), testClock.now())
      expectOk(registry.admitHoldings(current, base))
    }
    says(third, few, enough)
    says(fourth, enough)
    const archive = archiveOf(registry)
    // Two copies are enough.
    assert.deepEqual(archive.provided(10), [id(mine), id(fewer)])
    assert.deepEqual(archive.provided(1), [id(mine)])
  })
})
