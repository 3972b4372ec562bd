import assert from 'node:assert/strict'
import type { InferInput, InferOptions } from '../../daemon/http/node-api.ts'
import { MAX_DEADLINE_MS } from '../../daemon/http/node-api.ts'
import { encodeNpy } from '../../daemon/inference/image/npy.ts'
import { DEFAULT_DEADLINE_MS, Inferring, MAX_ATTEMPTS, YANKED } from '../../daemon/inferring.ts'
import { LOCAL } from '../../daemon/nearest.ts'
import type { PeerRequest } from '../../daemon/net/infer.ts'
import { type Code, expectOk, ZoariumError } from '../../protocol/errors.ts'
import type { ModelRow } from '../../registry/catalogue.ts'
import {
  cardModel,
  type DaemonParts,
  daemonParts,
  failing,
  hold,
  peerOf,
  remoteAnswer,
} from '../helpers/daemon-parts.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { keepFiles } from '../helpers/registry.ts'
import { introduce } from '../helpers/test-registry.ts'

const bytes = encodeNpy({
  dtype: 'float32',
  axes: [],
  shape: [1, 1, 8, 8],
  data: Float32Array.from({ length: 64 }, (_, i) => i),
})
const INPUTS: readonly InferInput[] = [{ name: null, mediaType: null, bytes }]

describe('daemon/inferring', () => {
  let parts: DaemonParts
  let embl: TestPublisher
  let crick: TestPublisher
  /** Held here. */
  let model: ModelRow
  /** Its record is here, its files are not. */
  let elsewhere: ModelRow
  beforeEach(async () => {
    parts = await daemonParts()
    embl = new TestPublisher('embl')
    crick = new TestPublisher('crick')
    for (const each of [embl, crick]) {
      introduce(parts.registry, each)
      expectOk(parts.registry.admitRecord(each.profile(each.name).envelope, null))
      parts.registry.setTrust({ publisher: each.publisher, right: 'run', send: true })
    }
    model = await hold(parts, cardModel(embl, 'nuclei'))
    elsewhere = await hold(parts, cardModel(embl, 'cells'), false)
  })
  afterEach(() => parts.inference.close())

  const infer = (
    row: ModelRow,
    on: string,
    options: Partial<InferOptions> = {},
    signal = new AbortController().signal,
  ) =>
    parts.inferring.infer(
      row,
      INPUTS,
      { on, output: null, accept: null, deadlineMs: null, ...options },
      signal,
    )
  const peers = (names: readonly string[], row = elsewhere) => {
    parts.network.known = names.map((peer, i) =>
      peerOf(crick, [row.record], { peer, rttMs: 10 + i }),
    )
  }
  const asked = (): string[] => parts.network.asked.map(({ peer }) => peer)

  describe('here', () => {
    it('runs, and asks nobody else', async () => {
      peers(['a'], model)
      const answer = await infer(model, LOCAL, { output: 'npy' })
      assert.deepEqual(
        [answer.node, answer.tried, answer.mediaType],
        [LOCAL, [LOCAL], 'application/x-npy'],
      )
      assert.deepEqual(answer.body.subarray(-256), bytes.subarray(-256))
      assert.deepEqual(answer.outputs[0]?.shape, [1, 1, 8, 8])
      assert.ok((answer.timings.computeMs ?? 0) > 0)
      assert.deepEqual(asked(), [])
    })

    it('tells where else it would run, best first and each once', async () => {
      peers(['far', 'near'])
      parts.network.known = [
        ...parts.network.known,
        peerOf(embl, [elsewhere.record], { rttMs: 1 }),
        peerOf(embl, [], { peer: 'useless', rttMs: 0 }),
      ]
      await assert.rejects(infer(elsewhere, LOCAL), {
        code: 'BLOB_MISSING',
        data: {
          got: 'embl/cells@1.0.0',
          hint: 'nearest nodes that can: embl, crick; to send the image there: --on nearest',
        },
      })
      assert.deepEqual(asked(), [])
    })

    it('fetches first what comes on demand', async () => {
      const fetched: string[] = []
      const onDemand = new Inferring({
        ...parts,
        fetch: async ({ record, name }) => {
          fetched.push(name)
          const made = cardModel(embl, 'fetched')
          assert.equal(record, later.record)
          await keepFiles(parts.registry, made)
        },
      })
      const later = await hold(parts, cardModel(embl, 'fetched'), false)
      const options = { on: LOCAL, output: null, accept: null, deadlineMs: null }
      const run = () => onDemand.infer(later, INPUTS, options, new AbortController().signal)
      await assert.rejects(run(), { code: 'BLOB_MISSING' })
      assert.deepEqual(fetched, [])
      parts.registry.mirrorDecision = () => ({
        fetch: 'demand',
        floor: 2,
        because: 'otherwise',
        rule: null,
      })
      assert.equal((await run()).node, LOCAL)
      assert.equal((await run()).node, LOCAL)
      assert.deepEqual(fetched, ['fetched'])
    })

    it('gives the way out here where nobody else can', async () => {
      await assert.rejects(infer(elsewhere, LOCAL), {
        code: 'BLOB_MISSING',
        data: { got: 'embl/cells@1.0.0', hint: `zoarium pull ${elsewhere.record}` },
      })
    })

    it('passes on what is wrong with the input', async () => {
      const options = { on: LOCAL, output: null, accept: null, deadlineMs: null }
      const input = { name: null, mediaType: null, bytes: new Uint8Array([1, 2, 3]) }
      const signal = new AbortController().signal
      await assert.rejects(parts.inferring.infer(model, [input], options, signal), {
        code: 'FORMAT',
      })
    })
  })

  describe('at a named node', () => {
    beforeEach(() => peers(['a', 'b']))

    it('goes to a PeerId, and to no other one', async () => {
      const answer = await infer(elsewhere, 'b', { deadlineMs: 1234, accept: 'image/png' })
      assert.deepEqual(answer, {
        body: remoteAnswer.body,
        mediaType: 'image/png',
        outputs: [],
        timings: { computeMs: 3 },
        notes: ['from afar'],
        node: 'b',
        tried: ['b'],
      })
      assert.deepEqual(parts.network.asked, [
        {
          peer: 'b',
          request: {
            record: elsewhere.record,
            output: null,
            accept: 'image/png',
            deadlineMs: 1234,
            inputs: INPUTS,
          },
        },
      ])
    })

    it('goes to the best node of a publisher, by label, petname or id', async () => {
      parts.registry.setTrust({ publisher: crick.publisher, right: 'run', petname: 'london' })
      const [a, b] = parts.network.known
      parts.network.known = [{ ...(a ?? assert.fail()), connected: false }, b ?? assert.fail()]
      for (const name of ['crick', 'london', crick.publisher]) {
        assert.equal((await infer(elsewhere, name)).node, 'b')
      }
    })

    it('stays here by the own PeerId, label or publisher id', async () => {
      expectOk(parts.registry.admitRecord(parts.own.profile('home').envelope, null))
      for (const name of ['here', 'home', parts.own.publisher]) {
        assert.equal((await infer(model, name)).node, LOCAL)
        await assert.rejects(infer(elsewhere, name), { code: 'BLOB_MISSING' })
      }
      assert.deepEqual(asked(), [])
    })

    it('is never replaced by another node', async () => {
      for (const code of ['BUSY', 'UNREACHABLE', 'NOT_RUNNABLE'] as const) {
        parts.network.answer = failing(code)
        await assert.rejects(infer(elsewhere, 'a'), { code })
        await assert.rejects(infer(elsewhere, 'crick'), { code })
      }
      assert.deepEqual(new Set(asked()), new Set(['a']))
    })

    it('says why a node is left out', async () => {
      parts.registry.setTrust({ publisher: crick.publisher, right: 'run', send: false })
      for (const name of ['a', 'crick']) {
        const error = await infer(elsewhere, name).catch((thrown: ZoariumError) => thrown)
        assert(error instanceof ZoariumError)
        assert.equal(error.code, 'NO_ROUTE')
        assert.match(String(error.data.got), /no rule lets images go to crick/)
      }
      await assert.rejects(infer(elsewhere, 'embl'), {
        code: 'NO_ROUTE',
        data: { got: 'no node of that publisher is known' },
      })
      await assert.rejects(infer(elsewhere, 'nobody'), { code: 'NOT_FOUND' })
      assert.deepEqual(asked(), [])
    })
  })

  describe('at the nearest node', () => {
    it('takes the first of the ranking, here where that is here', async () => {
      parts.network.known = [peerOf(crick, [model.record], { rttMs: 500 })]
      assert.equal((await infer(model, 'nearest')).node, LOCAL)
      peers(['a', 'b'])
      const answer = await infer(elsewhere, 'nearest')
      assert.deepEqual([answer.node, answer.tried], ['a', ['a']])
    })

    const nodeFailures: readonly Code[] = [
      'PEER',
      'UNREACHABLE',
      'BUSY',
      'NOT_FOUND',
      'BLOB_MISSING',
      'NOT_RUNNABLE',
      'TRUST',
      'BINDING_INVALID',
      'MODEL_UNSUPPORTED',
      'MODEL_QUARANTINED',
      'MODEL_MEMORY',
      'DISK_FULL',
      'STORE',
    ]
    for (const code of nodeFailures) {
      it(`goes on to the next node after ${code}, and names both`, async () => {
        peers(['a', 'b'])
        parts.network.answer = (peer) => (peer === 'a' ? failing(code)() : remoteAnswer)
        const answer = await infer(elsewhere, 'nearest')
        assert.deepEqual([answer.node, answer.tried], ['b', ['a', 'b']])
      })
    }

    const requestFailures: readonly Code[] = [
      'INPUT',
      'INPUT_LENGTH',
      'IMAGE',
      'FORMAT',
      'TILING_NEEDED',
      'MODEL_FAILED',
      'RECALLED',
      'TIMEOUT',
      'CANCELLED',
    ]
    for (const code of requestFailures) {
      it(`shows no other node an image after ${code}`, async () => {
        peers(['a', 'b'])
        parts.network.answer = failing(code)
        await assert.rejects(infer(elsewhere, 'nearest'), { code })
        assert.deepEqual(asked(), ['a'])
      })
    }

    it('tries so many nodes and no more, and names each with its failure', async () => {
      peers(['a', 'b', 'c', 'd', 'e'])
      parts.network.answer = (peer) => failing(peer === 'a' ? 'PEER' : 'BUSY')()
      const error = await infer(elsewhere, 'nearest').catch((thrown: ZoariumError) => thrown)
      assert(error instanceof ZoariumError)
      assert.equal(error.code, 'BUSY')
      assert.equal(asked().length, MAX_ATTEMPTS)
      assert.deepEqual(
        error.data.issues?.map(({ field, code }) => [field, code]),
        [
          ['a', 'PEER'],
          ['b', 'BUSY'],
          ['c', 'BUSY'],
        ],
      )
    })

    it('goes on here where this node is next', async () => {
      peers(['a'], model)
      parts.inference.status = () => ({ queued: 1000, running: 0, warm: [], speed: [] })
      parts.network.answer = failing('PEER')
      const answer = await infer(model, 'nearest')
      assert.deepEqual([answer.node, answer.tried], [LOCAL, ['a', LOCAL]])
    })

    it('does not go on for a client that has left', async () => {
      peers(['a', 'b'])
      const client = new AbortController()
      parts.network.answer = () => {
        client.abort()
        return failing('PEER')()
      }
      await assert.rejects(infer(elsewhere, 'nearest', {}, client.signal), { code: 'PEER' })
      assert.deepEqual(asked(), ['a'])
    })

    it('leaves later nodes what is left of the deadline', async () => {
      peers(['a', 'b'])
      parts.network.answer = (peer) => (peer === 'a' ? failing('PEER')() : remoteAnswer)
      for (const deadlineMs of [null, 5000, MAX_DEADLINE_MS + 1]) {
        parts.network.asked.length = 0
        await infer(elsewhere, 'nearest', { deadlineMs })
        const [first = 0, second = 0] = parts.network.asked.map(({ request }) => request.deadlineMs)
        const most = Math.min(deadlineMs ?? DEFAULT_DEADLINE_MS, MAX_DEADLINE_MS)
        assert.ok(most >= first && first >= second && second > most - 4000, `${first} ${second}`)
        assert.ok(Number.isInteger(first) && Number.isInteger(second))
      }
    })

    it('says of every node why it is left out', async () => {
      peers(['a'])
      parts.registry.setTrust({ publisher: crick.publisher, right: 'run', send: false })
      const error = await infer(elsewhere, 'nearest').catch((thrown: ZoariumError) => thrown)
      assert(error instanceof ZoariumError)
      assert.equal(error.code, 'NO_ROUTE')
      assert.deepEqual(
        error.data.issues?.map(({ field }) => field),
        ['a', LOCAL],
      )
      assert.match(error.data.issues?.[0]?.message ?? '', /trust add crick list --send/)
    })

    it('learns how fast the way to a node is', async () => {
      peers(['a', 'b'])
      const before = parts.nearest.routes(elsewhere, 1e6)[0]?.cost?.uploadMs
      const large = [{ name: null, mediaType: null, bytes: new Uint8Array(1e6) }]
      const options = { on: 'a', output: null, accept: null, deadlineMs: null }
      await parts.inferring.infer(elsewhere, large, options, new AbortController().signal)
      const after = parts.nearest.routes(elsewhere, 1e6)[0]?.cost?.uploadMs
      assert.deepEqual([before, after], [80, 10])
    })
  })

  it('sends nothing for a model that may not run, wherever it is meant to', async () => {
    peers(['a'])
    const refusals = async (row: ModelRow, code: Code) => {
      for (const on of ['nearest', 'a', 'crick', LOCAL]) {
        await assert.rejects(infer(row, on), { code }, on)
      }
      assert.deepEqual(asked(), [])
    }
    parts.registry.setTrust({ publisher: embl.publisher, right: 'mirror' })
    await refusals(elsewhere, 'TRUST')
    expectOk(parts.registry.admitRecord(embl.withdraw(elsewhere.record, 'recall').envelope, null))
    await refusals(expectOk(parts.registry.resolve(elsewhere.record)), 'RECALLED')
  })

  describe('a model that is taken back', () => {
    const say = (verb: 'yank' | 'recall') =>
      void expectOk(parts.registry.admitRecord(embl.withdraw(model.record, verb).envelope, null))
    const now = (row = model) => expectOk(parts.registry.resolve(row.record))

    it('runs with a notice once it was yanked, here and elsewhere', async () => {
      assert(!(await infer(model, LOCAL)).notes.includes(YANKED))
      say('yank')
      assert((await infer(now(), LOCAL)).notes.includes(YANKED))
      expectOk(parts.registry.admitRecord(embl.withdraw(elsewhere.record).envelope, null))
      peers(['a'])
      assert.deepEqual((await infer(now(elsewhere), 'nearest')).notes, [YANKED, 'from afar'])
    })

    it('says why a run was ended by it', async () => {
      const cut = new Inferring({
        ...parts,
        fetch: () => assert.fail(),
        inference: {
          run: async () => {
            say('recall')
            throw new ZoariumError('CANCELLED', 'the request was cancelled')
          },
        },
      })
      const options = { on: LOCAL, output: null, accept: null, deadlineMs: null }
      const { signal } = new AbortController()
      await assert.rejects(cut.infer(now(), INPUTS, options, signal), { code: 'RECALLED' })
    })
  })

  describe('for other nodes', () => {
    const request = (changes: Partial<PeerRequest> = {}): PeerRequest => ({
      peer: 'a',
      publisher: crick.publisher,
      record: model.record,
      output: 'npy',
      accept: null,
      deadlineMs: 10_000,
      inputs: INPUTS,
      salt: null,
      signal: new AbortController().signal,
      ...changes,
    })

    it('runs what runs here', async () => {
      const result = await parts.inferring.serve(request())
      assert.equal(result.mediaType, 'application/x-npy')
      const png = await parts.inferring.serve(request({ output: null, accept: 'image/tiff' }))
      assert.equal(png.mediaType, 'image/tiff')
    })

    it('refuses what it does not know, may not run or does not hold', async () => {
      const serve = (changes: Partial<PeerRequest>) => parts.inferring.serve(request(changes))
      await assert.rejects(serve({ record: parts.own.publisher }), { code: 'NOT_FOUND' })
      await assert.rejects(serve({ record: elsewhere.record }), { code: 'BLOB_MISSING' })
      await assert.rejects(serve({ output: 'gif' }), {
        code: 'FORMAT',
        data: { got: 'gif', limit: 'png, tiff, npy, zip' },
      })
      parts.registry.setTrust({ publisher: embl.publisher, right: 'mirror' })
      await assert.rejects(serve({}), { code: 'TRUST' })
    })

    it('never passes a request on', async () => {
      peers(['b'], elsewhere)
      await assert.rejects(parts.inferring.serve(request({ record: elsewhere.record })))
      assert.deepEqual(asked(), [])
    })
  })
})
