/** A node without registry, network or engine: one signed model of one publisher, all in memory. */
import { Readable } from 'node:stream'
import type {
  InferInput,
  InferOptions,
  NodeApi,
  PublishOptions,
} from '../../daemon/http/node-api.ts'
import type {
  EventView,
  JoinView,
  KeysView,
  ModelSummary,
  ModelView,
  PeerView,
  PublisherView,
  PublishView,
  RosterStatus,
  RosterView,
  Scope,
  TrustView,
} from '../../protocol/api.ts'
import { type Cid, fingerprintOf } from '../../protocol/cid.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import { handleDocument } from '../../protocol/handle.ts'
import type { ModelQuery } from '../../registry/catalogue.ts'
import { describeModel, TestPublisher, utf8 } from './publisher.ts'

const AT = '2026-01-01T00:00:00.000Z'
const PEER = '12D3KooWFakePeer'
/** Two leaves: more than one chunk of everything. */
const WEIGHTS = new Uint8Array(1_500_000)
for (let i = 0; i < WEIGHTS.length; i++) WEIGHTS[i] = (i * 7) % 251

export interface FakeNode extends NodeApi {
  readonly publisher: TestPublisher
  /** The one model. */
  readonly view: ModelView
  readonly files: ReadonlyMap<string, Uint8Array>
  /** What the routes passed on, newest last. */
  readonly calls: {
    readonly search: ModelQuery[]
    readonly publish: { readonly zip: string; readonly options: PublishOptions }[]
    readonly infer: {
      readonly record: Cid
      readonly inputs: readonly InferInput[]
      readonly options: InferOptions
      readonly signal: AbortSignal
    }[]
    readonly trust: unknown[]
    readonly profile: unknown[]
    readonly rosters: unknown[]
  }
  readonly listeners: Set<(event: EventView) => void>
}

/** @param overrides methods that a test wants otherwise */
export function createFakeNode(spool: string, overrides: Partial<NodeApi> = {}): FakeNode {
  const publisher = new TestPublisher('institute-a')
  const made = publisher.model({ name: 'nuclei', card: utf8('name: Nuclei\n'), weights: WEIGHTS })
  const profile = publisher.profile('institute-a', 'Institute A')
  const owner: PublisherView = {
    id: publisher.publisher,
    label: 'institute-a',
    displayName: 'Institute A',
    petname: null,
    handle: 'zoo.example.org',
    handleVerified: true,
    handleProblem: null,
    right: 'run',
    send: false,
  }
  const { record, id } = made.signed
  if (record.kind !== 'model') throw new TypeError('the test publisher made no model')
  const { body } = record
  const summary: ModelSummary = {
    ref: 'institute-a/nuclei@1.0.0',
    record: id,
    root: body.root,
    publisher: owner,
    name: body.name,
    version: body.version,
    title: 'Nuclei',
    description: 'Segments nuclei',
    license: 'MIT',
    tags: ['nuclei'],
    published: AT,
    weights: ['onnx'],
    inputs: ['batch,channel:1,y,x'],
    tested: body.tested,
    withdrawn: null,
    audience: null,
    held: true,
    replicas: 2,
    floor: 2,
    runnable: { here: true, reason: null },
  }
  const model: ModelView = {
    ...summary,
    key: record.key,
    position: { epoch: record.epoch, seq: record.seq },
    files: body.files.map((file) => ({ ...file, held: true })),
    holders: [owner],
    fetch: 'always',
    pinned: false,
    bytes: body.files.reduce((sum, file) => sum + file.size, 0),
    aliases: [],
    versions: [{ version: body.version, record: id }],
    withdrawals: [],
    sameFiles: [],
    card: describeModel({ name: 'Nuclei', license: 'MIT' }),
  }
  const known = [model.ref, 'institute-a/nuclei', id, publisher.publisher]
  const calls: FakeNode['calls'] = {
    search: [],
    publish: [],
    infer: [],
    trust: [],
    profile: [],
    rosters: [],
  }
  const listeners: FakeNode['listeners'] = new Set()
  const tokens = new Map<string, readonly Scope[]>([
    ['operator', ['read', 'infer', 'publish', 'admin']],
    ['reader', ['read']],
    ['publisher', ['publish']],
  ])
  const peer: PeerView = {
    peer: PEER,
    addresses: ['/ip4/127.0.0.1/tcp/7071'],
    connected: true,
    publisher: owner,
    roles: ['sync', 'serve'],
    rttMs: 0.4,
    fileRate: null,
    lastSync: null,
    shutOutUntil: null,
    serves: 1,
    queue: 0,
  }
  const trust = {
    items: [{ publisher: owner, own: true, because: 'own', roster: null, line: null }],
    run: [{ attested: 1, of: [owner], publishers: null, line: 9 }],
    strangers: [],
  } as const satisfies TrustView
  const named = { publisher: owner, name: 'imaging' }
  const status: RosterStatus = {
    publisher: owner.id,
    issuer: 'institute-a',
    name: 'imaging',
    own: true,
    followed: true,
    state: 'OK',
    waiting: 1,
  }
  const roster: RosterView = {
    ...named,
    own: true,
    state: 'OK',
    record: id,
    right: 'mirror',
    members: [owner],
    bootstrap: [],
    rivals: [id],
    followed: { right: 'mirror', line: 5, waiting: [owner.id], gone: [owner] },
  }
  const joined: JoinView = {
    ...named,
    dryRun: false,
    fingerprint: fingerprintOf(owner.id),
    record: id,
    signed: AT,
    fresh: AT,
    recommends: 'run',
    right: 'mirror',
    before: null,
    members: [{ publisher: owner, right: 'mirror', because: 'roster', isNew: true }],
    removed: [owner],
    bootstrap: [{ address: '/dns4/zoo.example.org/tcp/1', connected: false, error: 'nobody' }],
  }
  const published: PublishView = {
    dryRun: false,
    record: id,
    ref: model.ref,
    name: model.name,
    version: model.version,
    root: model.root,
    files: body.files.map(({ path, size, role }) => ({ path, size, role })),
    bytes: model.bytes,
    tested: 'reproduced',
    test: { worstAbsolute: 1e-6, mismatchedPerMillion: 0, ms: 12 },
    warnings: [],
  }
  const find = (ref: string): ModelView => {
    if (known.includes(ref)) return model
    throw new ZoariumError('NOT_FOUND', 'no model of that name is known here', { got: ref })
  }

  return {
    publisher,
    view: model,
    files: made.files,
    calls,
    listeners,
    spool,
    node: () => ({
      publisher: owner,
      peer: PEER,
      addresses: ['/ip4/127.0.0.1/tcp/7071/p2p/12D3KooWFakePeer'],
      version: '0.0.0',
      started: AT,
      counts: { records: 2, models: 1, publishers: 1 },
      logs: [{ publisher: owner.id, key: model.key, epoch: 0, seq: 1, state: 'OK', missing: 0 }],
      blobs: { count: 2, bytes: model.bytes },
      engine: {
        name: 'fake',
        version: 'fake 1',
        executionProviders: ['cpu'],
        isolation: ['memory', 'privileges'],
        queued: 0,
        running: 0,
        warm: [id],
      },
      quotas: [],
      incomplete: 0,
      atRisk: {
        total: 1,
        models: [{ ref: model.ref, record: id, replicas: 1, floor: 2 }],
      },
      scrub: { started: AT, finished: AT, files: 2, bytes: 5_000_000, rotten: 1 },
      self: 'sure',
      renewals: [],
      warnings: [],
      rosters: [status],
    }),
    handleDocument: () => handleDocument(owner.id),
    ownHandle: () => owner.handle,
    notReady: () => [],
    peers: () => [peer],
    connect: async () => peer,
    sync: async () => [
      {
        peer: PEER,
        ok: true,
        error: null,
        records: 2,
        bytes: 900,
        roundTrips: 1,
        ms: 3.5,
        refused: [],
      },
    ],
    model: find,
    search: (query) => {
      calls.search.push(query)
      return { items: [summary], total: 1, next: null, unlisted: [] }
    },
    envelope: (cid) => {
      const found = [made.signed, profile].find((signed) => signed.id === cid)
      if (found === undefined) throw new ZoariumError('NOT_FOUND', 'no such record')
      return found.envelope
    },
    identity: (text) => {
      if (text !== owner.id && text !== owner.label) {
        throw new ZoariumError('NOT_FOUND', 'no such publisher')
      }
      return {
        publisher: owner.id,
        operations: publisher.operations.map((each) => Buffer.from(each).toString('base64')),
        devices: publisher.identity.devices.map(({ key, scope, notBefore, notAfter }) => ({
          key,
          scope,
          notBefore: new Date(notBefore).toISOString(),
          notAfter: new Date(notAfter).toISOString(),
        })),
      }
    },
    blob: (cid) => {
      const file =
        made.signed.record.kind === 'model'
          ? made.signed.record.body.files.find((each) => each.cid === cid)
          : undefined
      const bytes = file && made.files.get(file.path)
      if (bytes === undefined)
        throw new ZoariumError('BLOB_MISSING', 'the file is not on this node')
      return {
        size: bytes.length,
        mediaType: 'application/octet-stream',
        cid,
        open: async ({ start = 0, end = bytes.length }) =>
          Readable.from([bytes.subarray(start, end)]),
      }
    },
    isTicket: () => false,
    leaf: async () => {
      throw new ZoariumError('TOKEN', 'the ticket is not valid any more')
    },
    file: async (ref, path) => {
      const file = find(ref).files.find((each) => each.path === path)
      const bytes = made.files.get(path)
      if (file === undefined || bytes === undefined) {
        throw new ZoariumError('NOT_FOUND', 'the model has no such file', { field: path })
      }
      const { size, mediaType, cid } = file
      return {
        size,
        mediaType,
        cid,
        open: async ({ start = 0, end = size }) => Readable.from([bytes.subarray(start, end)]),
      }
    },
    publish: async (zip, options) => {
      calls.publish.push({ zip, options })
      return published
    },
    attest: async () => ({ record: id, target: id, ref: model.ref }),
    withdraw: async () => ({ record: id, target: id, ref: model.ref }),
    pins: () => [{ record: id, ref: model.ref, held: true }],
    pin: (ref) => [{ record: find(ref).record, ref, held: true }],
    unpin: (ref) => {
      find(ref)
      return []
    },
    erasures: () => [],
    eraseHere: async () => ({ count: 1, bytes: 2 }),
    restoreHere: () => [],
    doctor: async () => ({
      findings: [{ check: 'reach', state: 'warn', message: 'not reached', hint: 'open the port' }],
      isWell: true,
    }),
    collectGarbage: async (isNow) => ({
      count: isNow ? 2 : 1,
      bytes: 2,
      waiting: isNow ? { count: 0, bytes: 0, until: null } : { count: 1, bytes: 3, until: AT },
    }),
    keys: () => keysOf(owner.id, model.key),
    profile: () => ({ record: id, publisher: owner, url: null, ror: '03mstc592' }),
    setProfile: async (profile) => {
      calls.profile.push(profile)
      return { record: id, publisher: { ...owner, ...profile }, url: profile.url, ror: profile.ror }
    },
    tag: async () => ({ record: id, target: id, ref: model.ref }),
    exportModels: (refs) => {
      for (const ref of refs) find(ref)
      return (async function* () {
        yield new Uint8Array([1, 2, 3])
      })()
    },
    importModels: async (car) => {
      let bytes = 0
      for await (const chunk of car) bytes += chunk.length
      return { models: [{ record: id, ref: model.ref }], records: 2, files: 1, bytes }
    },
    pull: async () => ({ record: id, ref: model.ref, bytes: model.bytes, fetched: 0, ms: 1 }),
    resolve: (ref) => find(ref).record,
    infer: async (record, inputs, options, signal) => {
      calls.infer.push({ record, inputs, options, signal })
      return {
        body: inputs[0]?.bytes ?? new Uint8Array(0),
        mediaType: 'image/png',
        node: 'local',
        tried: ['local'],
        timings: { queueMs: 0.5, computeMs: 12.25 },
        outputs: [{ id: 'mask', axes: ['y', 'x'], shape: [2, 3], dtype: 'uint8' }],
        notes: ['padded to a multiple of 8 µm'],
      }
    },
    route: async () => [
      {
        node: 'local',
        publisher: owner,
        eligible: true,
        reason: null,
        cost: { uploadMs: 0, rttMs: 0, queueMs: 0, coldMs: 5, computeMs: 10, totalMs: 15 },
      },
      { node: PEER, publisher: null, eligible: false, reason: 'no trust rule', cost: null },
    ],
    trust: () => trust,
    addTrust: (...given) => {
      calls.trust.push(given)
      return trust
    },
    removeTrust: () => trust,
    explainTrust: (ref) => ({
      ref,
      publisher: owner,
      contested: false,
      model: {
        record: id,
        ref: model.ref,
        root: model.root,
        withdrawn: 'yank',
        contested: true,
        fetch: 'demand',
        floor: 3,
        fetchBecause: 'a mirror rule says so (line 9 of trust.yaml)',
      },
      rights: [
        {
          right: 'run',
          granted: true,
          because: 'a rule gives it "run"',
          line: 4,
          change: 'zoarium trust add institute-a mirror',
        },
      ],
      attestations: [
        { record: id, publisher: owner, claim: 'reviewed', counts: false, because: 'withdrawn' },
      ],
    }),
    rosters: () => [roster],
    roster: (_, name) => {
      if (name === roster.name) return roster
      throw new ZoariumError('NOT_FOUND', 'no roster of that name')
    },
    rosterFile: () => new Uint8Array([1, 2, 3]),
    setRoster: (...given) => {
      calls.rosters.push(['set', ...given])
      return roster
    },
    withdrawRoster: (...given) => {
      calls.rosters.push(['withdraw', ...given])
      return { ...roster, state: 'WITHDRAWN', record: null }
    },
    join: async (options) => {
      calls.rosters.push(['join', options])
      return { ...joined, dryRun: options.dryRun }
    },
    leave: (...given) => {
      calls.rosters.push(['leave', ...given])
      return { ...named, members: [{ publisher: owner, before: 'mirror' }] }
    },
    tokens: () => [{ id: 't1', label: 'viewer', scopes: ['read'], created: AT, expires: null }],
    addToken: (label, scopes, expiresMs) => ({
      id: 't2',
      label,
      scopes,
      created: AT,
      expires: expiresMs === null ? null : new Date(expiresMs).toISOString(),
      token: 'zo_secret',
    }),
    revokeToken: (token) => token === 't1',
    scopesOf: (token) => tokens.get(token) ?? null,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    metrics: async () => '# HELP zoarium_up 1\n',
    ...overrides,
  }
}

const keysOf = (publisher: Cid, key: string): KeysView => ({
  publisher,
  length: 3,
  tip: publisher,
  threshold: 1,
  rotations: 0,
  roots: [{ key, here: false }],
  next: { commitment: key, here: false, held: 0 },
  sealed: true,
  steward: null,
  devices: [
    {
      key,
      scope: 'publish',
      audience: null,
      state: 'active',
      notBefore: AT,
      notAfter: AT,
      here: true,
      revoked: null,
      epoch: 0,
      last: { epoch: 0, seq: 1, tip: publisher },
      cuts: [],
    },
  ],
})
