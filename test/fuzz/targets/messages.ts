/** Messages between nodes, one by one, as frames of their protocol. */
import {
  blobReplies,
  blobRequests,
  failureMessage,
  helloMessages,
  inferReplies,
  inferRequests,
  type Messages,
} from '../../../protocol/message.ts'
import { peersReplies, peersRequests } from '../../../protocol/peers-message.ts'
import { syncReplies, syncRequests } from '../../../protocol/sync-message.ts'
import { Breach, settle, type Target } from '../fuzzer.ts'
import type { Value } from '../loose-cbor.ts'
import { type Family, messageFault } from '../rules/messages.ts'
import {
  bindings,
  chain,
  heads,
  heartbeats,
  holdings,
  parsed,
  pool,
  publisher,
  records,
} from '../samples.ts'
import { mutateValue } from '../value-mutants.ts'

const [record = new Uint8Array(0), other] = records
const id = publisher.publisher
const key = publisher.key()
const digest = new Uint8Array(32).fill(3)
const salt = new Uint8Array(16).fill(7)
const place = 'ab'.repeat(16)
const item = { publisher: id, key, epoch: 0, seq: 4, tip: id, day: 20_000, forked: false }
const node = { publisher: id, key, issued: 1e12, expires: 2e12, tip: id }
const error = failureMessage({ code: 'BUSY', message: 'later', limit: 3, got: 'four' }, 1000)

/** Every message at least once. */
const examples = {
  hello: helloMessages.encode({
    t: 'hello',
    versions: [1],
    agent: 'zoarium/0.1',
    identityLength: 3,
    binding: bindings[0] ?? null,
    heartbeat: heartbeats[0] ?? null,
    limits: { streams: 1, bytesPerSecond: 2 ** 20, inferBytes: 2 ** 28 },
  }),
  requests: [
    syncRequests.encode({
      t: 'open',
      mine: digest,
      yours: null,
      publishers: [id],
      fingerprint: digest,
    }),
    syncRequests.encode({ t: 'split', salt, ranges: ['0', '1a', '1b'] }),
    syncRequests.encode({
      t: 'compare',
      salt,
      ranges: [
        { range: '0', marks: salt.subarray(4) },
        { range: '1a', marks: new Uint8Array() },
      ],
      after: place,
    }),
    syncRequests.encode({ t: 'get-identity', publisher: id, from: 3 }),
    syncRequests.encode({ t: 'get-rival', publisher: id }),
    syncRequests.encode({ t: 'get-profile', publisher: id }),
    syncRequests.encode({ t: 'get-proof', publisher: id, key }),
    syncRequests.encode({
      t: 'get-records',
      logs: [
        { id: place, after: { epoch: 0, seq: 1, tip: id } },
        { id: place, after: null },
      ],
      limit: 1000,
    }),
    syncRequests.encode({
      t: 'get-holdings',
      nodes: [
        { id: place, base: id },
        { id: place, base: null },
      ],
    }),
    syncRequests.encode({ t: 'get-roster', of: id }),
    syncRequests.encode({ t: 'done', behind: true }),
  ],
  replies: [
    syncReplies.encode({
      t: 'state',
      publishers: [id],
      parts: new Uint8Array(96),
    }),
    syncReplies.encode({ t: 'parts', parts: [new Uint8Array(96).fill(1)] }),
    syncReplies.encode({ t: 'items', items: [item, node], lacks: [3], more: true }),
    syncReplies.encode({ t: 'identity', operations: chain.slice(0, 2), more: false }),
    syncReplies.encode({ t: 'rival', from: 1, operations: chain.slice(1, 3) }),
    syncReplies.encode({ t: 'profile', envelope: record }),
    syncReplies.encode({ t: 'proof', first: record, second: other ?? null }),
    syncReplies.encode({
      t: 'records',
      logs: [
        {
          records: [
            { envelope: record, card: new Uint8Array(3) },
            { envelope: record, card: null },
          ],
          head: heads[0] ?? null,
          more: true,
        },
      ],
    }),
    syncReplies.encode({
      t: 'holdings',
      nodes: [
        { current: holdings[1] ?? null, base: holdings[0] ?? null },
        { current: null, base: null },
      ],
    }),
    syncReplies.encode({ t: 'roster', records: [id], car: digest }),
    syncReplies.encode(error),
  ],
  blobs: [
    blobRequests.encode({ t: 'get-tree', cid: id }),
    blobRequests.encode({ t: 'get-have', cid: id, known: 3 }),
    blobRequests.encode({ t: 'get-leaf', cid: id, index: 7, insist: false }),
    blobRequests.encode({ t: 'get-ticket' }),
  ],
  leaves: [
    blobReplies.encode({ t: 'tree', size: 5e9, nodes: [digest], have: null }),
    blobReplies.encode({ t: 'have', have: digest }),
    blobReplies.encode({ t: 'leaf', index: 7 }),
    blobReplies.encode({ t: 'given', index: 7, given: digest }),
    blobReplies.encode({ t: 'ticket', ticket: digest }),
    blobReplies.encode(error),
  ],
  where: [
    peersRequests.encode({ t: 'get-peers', limit: 3 }),
    peersRequests.encode({ t: 'dial-back', addresses: ['/dns/zoo.example/tcp/443/tls/ws'] }),
  ],
  there: [
    peersReplies.encode({
      t: 'peers',
      peers: [
        {
          peer: '12D3KooWGGFPz2Mo3x4Kb5cYfAaGkRs8qMJoNcyAWEdkwZrBqdk3',
          addresses: ['/ip4/192.0.2.1/tcp/7071'],
        },
      ],
    }),
    peersReplies.encode({
      t: 'dialled',
      now: 1_790_000_000_000,
      observed: '192.0.2.1',
      results: [{ address: '/ip4/192.0.2.1/tcp/1', code: 'BUSY', message: 'later', ms: 12 }],
    }),
    peersReplies.encode(error),
  ],
  infer: inferRequests.encode({
    t: 'infer',
    record: id,
    output: 'png',
    accept: 'image/png, */*',
    deadline: 1000,
    inputs: [{ name: 'raw', size: 3, mediaType: 'image/png' }],
    salt: digest,
  }),
  results: [
    inferReplies.encode({
      t: 'result',
      mediaType: 'image/png',
      outputs: [{ id: 'mask', axes: ['y', 'x'], shape: [2, 3], dtype: 'uint8' }],
      timings: { computeMs: 1500 },
      notes: ['padded'],
      receipt: heads[0] ?? null,
    }),
    inferReplies.encode(error),
  ],
}

function messageTarget<M extends { readonly t: string }>(
  family: Family,
  messages: Messages<M>,
  samples: readonly Uint8Array[],
  share: number,
): Target {
  return {
    name: `message-${family}`,
    share,
    mutant: (random) => {
      const value = parsed(random.pick(samples)) as Value
      return { raw: mutateValue(value, pool, random), finish: (bytes) => bytes, isSigned: false }
    },
    judge(input) {
      const verdict = messages.decode(input)
      if (verdict.ok && Buffer.compare(messages.encode(verdict.value), input) !== 0) {
        throw new Breach('does not encode to the bytes that it was read from')
      }
      return settle(verdict, () => messageFault(family, input))
    },
  }
}

export const messageTargets: readonly Target[] = [
  messageTarget('hello', helloMessages, [examples.hello], 20),
  messageTarget('sync-request', syncRequests, examples.requests, 40),
  messageTarget('sync-reply', syncReplies, examples.replies, 40),
  messageTarget('blob-request', blobRequests, examples.blobs, 20),
  messageTarget('blob-reply', blobReplies, examples.leaves, 20),
  messageTarget('peers-request', peersRequests, examples.where, 20),
  messageTarget('peers-reply', peersReplies, examples.there, 20),
  messageTarget('infer-request', inferRequests, [examples.infer], 20),
  messageTarget('infer-reply', inferReplies, examples.results, 20),
]
