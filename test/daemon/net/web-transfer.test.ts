import assert from 'node:assert/strict'
import { PublicWeb } from '../../../daemon/public-web.ts'
import type { Web, WebAnswer, WebRequest } from '../../../daemon/web.ts'
import { parseCid } from '../../../protocol/cid.ts'
import { leafCount } from '../../../protocol/content-tree.ts'
import { expectOk } from '../../../protocol/errors.ts'
import { LEAF_BYTES } from '../../../protocol/limits.ts'
import { startNode, stopNodes, type TestNode } from '../../helpers/network.ts'
import { type TestModel, TestPublisher } from '../../helpers/publisher.ts'
import { admit, keepFiles } from '../../helpers/registry.ts'

const SIZE = 9 * LEAF_BYTES + 1000
const HOST = 'zoo.institute-a.example'
const [a, b] = ['institute-a', 'institute-b'].map((name) => new TestPublisher(name)) as [
  TestPublisher,
  TestPublisher,
]

/** The HTTPS address of a node, without a socket: what its routes do with a ticket. */
class NodeWeb implements Web {
  readonly node: TestNode
  readonly asked: WebRequest[] = []
  ip = '93.184.216.34'
  /** What becomes of an answer. */
  bend: (answer: WebAnswer, n: number) => WebAnswer = (answer) => answer

  constructor(node: TestNode) {
    this.node = node
  }

  async addresses(host: string): Promise<readonly string[]> {
    assert.equal(host, HOST)
    return [this.ip]
  }

  async get(request: WebRequest): Promise<WebAnswer> {
    const n = this.asked.push(request)
    return this.bend(await this.#answer(request), n)
  }

  async #answer({ path, headers = {} }: WebRequest): Promise<WebAnswer> {
    const match = /^\/zoo\/v1\/blobs\/([a-z0-9]+)(\?insist=false)?$/.exec(path)
    const range = /^bytes=([0-9]+)-([0-9]+)$/.exec(headers.Range ?? '')
    const ticket = /^Bearer (.+)$/.exec(headers.Authorization ?? '')?.[1] ?? ''
    assert.ok(match && range, `${path} ${headers.Range}`)
    const index = Number(range[1]) / LEAF_BYTES
    const asked = { cid: expectOk(parseCid(match[1] ?? '')), index, insist: match[2] === undefined }
    const leaf = await this.node.network.leafFor(ticket, asked)
    if (!leaf.ok) return { status: 401, body: new Uint8Array(0) }
    const { reply, sent } = leaf.value
    try {
      if ('given' in reply) {
        const got = Buffer.from(reply.given).toString('base64url')
        return { status: 409, body: Buffer.from(JSON.stringify({ error: { code: 'GIVEN', got } })) }
      }
      const parts: Uint8Array[] = []
      for await (const part of reply.parts) parts.push(part)
      return { status: 206, body: Buffer.concat(parts) }
    } finally {
      sent()
    }
  }
}

describe('daemon/net/transfer, over HTTPS', () => {
  stopNodes()

  let model: TestModel
  before(() => {
    const weights = new Uint8Array(SIZE)
    for (let leaf = 0; leaf < leafCount(SIZE); leaf++) weights[leaf * LEAF_BYTES] = leaf + 1
    model = a.model({ name: 'nuclei', weights })
  })

  const file = () => {
    const { record } = model.signed
    const found =
      record.kind === 'model' && record.body.files.find(({ role }) => role === 'weights')
    assert.ok(found)
    return found
  }

  /** A node that has the file, at an address of its profile, and one that fetches it. */
  async function colony(url: string | null = `https://${HOST}/zoo`, allowed: string[] = []) {
    const from = await startNode(a, { trusts: [b], isOnWeb: () => url !== null })
    const web = new NodeWeb(from)
    const to = await startNode(b, { trusts: [a], web: new PublicWeb(web, allowed) })
    for (const { registry } of [from, to]) {
      if (registry !== from.registry) expectOk(registry.admitIdentity(a.publisher, a.operations, 0))
      admit(registry, model)
      if (url !== null)
        expectOk(registry.admitProfile(a.profile('institute-a', 'A', [], null, url).envelope))
    }
    await keepFiles(from.registry, model)
    await to.network.connect(from.address)
    const fetch = () => {
      const signal = AbortSignal.timeout(8000)
      return to.network.fetchBlob(file(), { record: model.signed.id, signal })
    }
    const isHere = () => to.registry.blobs.stat(file().cid) !== null
    return { from, to, web, fetch, isHere }
  }

  it('asks the address of the profile for leaves, under a ticket', async () => {
    const { web, fetch, isHere } = await colony()
    await fetch()
    assert.ok(isHere())
    assert.ok(web.asked.length > 0)
    const tickets = new Set(web.asked.map(({ headers }) => headers?.Authorization))
    assert.equal(tickets.size, 1)
  })

  it('goes on over streams where the address gives something else', async () => {
    const nothing = new Uint8Array(0)
    for (const bend of [
      () => ({ status: 404, body: nothing }),
      () => ({ status: 206, body: null }),
      () => ({ status: 409, body: Buffer.from('{"error": {"code": "GIVEN", "got": "AA"}}') }),
      () => {
        throw new Error('the connection was refused')
      },
    ]) {
      const { web, fetch, isHere, to } = await colony()
      web.bend = bend
      await fetch()
      assert.ok(isHere())
      // Not the peer's fault.
      assert.deepEqual(
        to.network.peers().map(({ shutOut }) => shutOut),
        [null],
      )
      assert.ok(web.asked.length <= 8, `asked ${web.asked.length} times`)
    }
  })

  it('keeps no wrong bytes that come from there', async () => {
    const { web, fetch, isHere, to } = await colony()
    web.bend = ({ status, body }, n) => {
      if (n === 3 && body !== null) body[7] = (body[7] ?? 0) ^ 1
      return { status, body }
    }
    await fetch()
    assert.ok(isHere())
    assert.deepEqual(
      to.network.peers().map(({ shutOut }) => shutOut),
      [null],
    )
  })

  it('asks no host of a private address, unless the operator has named it', async () => {
    for (const allowed of [[], [HOST]]) {
      const { web, fetch, isHere } = await colony(undefined, allowed)
      web.ip = '10.1.2.3'
      await fetch()
      assert.ok(isHere())
      assert.equal(web.asked.length > 0, allowed.length > 0)
    }
  })

  it('gives no ticket where there is no address, and takes none of an ended connection', async () => {
    const none = await colony(null)
    await none.fetch()
    assert.ok(none.isHere())
    assert.equal(none.web.asked.length, 0)

    const { from, to, web, fetch } = await colony()
    await fetch()
    const ticket = web.asked[0]?.headers?.Authorization?.slice('Bearer '.length) ?? ''
    const leaf = { cid: file().cid, index: 0, insist: true }
    assert.ok(from.network.isTicket(ticket))
    assert.ok((await from.network.leafFor(ticket, leaf)).ok)
    const gone = from.next('peer', ({ connected }) => !connected)
    await to.network.stop()
    await gone
    assert.equal(from.network.isTicket(ticket), false)
    const refused = await from.network.leafFor(ticket, leaf)
    assert.ok(!refused.ok && refused.code === 'TOKEN')
  })

  it('sends one peer so many leaves at a time, and no more', async () => {
    const { from, web, fetch } = await colony()
    await fetch()
    const ticket = web.asked[0]?.headers?.Authorization?.slice('Bearer '.length) ?? ''
    const leaf = { cid: file().cid, index: 0, insist: true }
    const given = await Promise.all(
      Array.from({ length: 32 }, () => from.network.leafFor(ticket, leaf)),
    )
    const [first] = given.map(expectOk)
    const more = await from.network.leafFor(ticket, leaf)
    assert.ok(!more.ok && more.code === 'BUSY')
    first?.sent()
    assert.ok((await from.network.leafFor(ticket, leaf)).ok)
  })
})
