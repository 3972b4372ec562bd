/** What every implementation of the web seam must do. */
import assert from 'node:assert/strict'
import type { Web } from '../../daemon/web.ts'

export interface WebUnderTest {
  readonly web: Pick<Web, 'get'>
  /** Where the hosts below are. */
  readonly address: string
  close(): Promise<void>
}

/** Hosts that an implementation is to be tested with, and how each answers. */
export const SUITE_HOSTS = {
  'fine.example': { body: '{"fine": true}' },
  'moved.example': { status: 302, body: 'elsewhere' },
  'absent.example': { status: 404, body: 'nothing here' },
  'hanging.example': { hangs: true },
} as const

export function webSuite(name: string, create: (test: Mocha.Context) => Promise<WebUnderTest>) {
  describe(`the web contract: ${name}`, () => {
    let under: WebUnderTest
    before(async function () {
      under = await create(this)
    })
    after(() => under?.close())
    const get = (
      host: keyof typeof SUITE_HOSTS,
      maxBytes = 1000,
      signal = never(),
      accepts?: readonly number[],
    ) =>
      under.web.get({
        host,
        address: under.address,
        path: '/file',
        maxBytes,
        signal,
        ...(accepts === undefined ? {} : { accepts }),
      })

    it('gets a body', async () => {
      const { status, body } = await get('fine.example')
      assert.deepEqual([status, String(Buffer.from(body ?? []))], [200, '{"fine": true}'])
    })

    it('reads no more than it may', async () => {
      const size = SUITE_HOSTS['fine.example'].body.length
      assert.equal((await get('fine.example', size)).body?.length, size)
      assert.deepEqual(await get('fine.example', size - 1), { status: 200, body: null })
    })

    it('follows no redirect and gives no body of other statuses', async () => {
      for (const [host, status] of [
        ['moved.example', 302],
        ['absent.example', 404],
      ] as const) {
        const answer = await get(host)
        assert.deepEqual([answer.status, answer.body?.length], [status, 0])
      }
    })

    it('gives the body of a status that is accepted', async () => {
      const { status, body } = await get('absent.example', 1000, never(), [404])
      assert.deepEqual([status, String(Buffer.from(body ?? []))], [404, 'nothing here'])
      assert.deepEqual(await get('fine.example', 1000, never(), [404]), {
        status: 200,
        body: new Uint8Array(0),
      })
    })

    it('gives up when it is told to', async () => {
      await assert.rejects(get('hanging.example', 1000, AbortSignal.timeout(50)))
      await assert.rejects(get('fine.example', 1000, AbortSignal.abort()))
    })
  })
}

const never = (): AbortSignal => new AbortController().signal
