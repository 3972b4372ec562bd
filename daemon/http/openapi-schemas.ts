/** JSON schemas (2020-12) of what the routes take and give; protocol/api.ts has the same as types. */
import { CLAIMS } from '../../protocol/attestation.ts'
import { WITHDRAW_VERBS } from '../../protocol/record-body.ts'
import { SCOPES } from '../../protocol/scope.ts'

type Schema = Readonly<Record<string, unknown>>

const text: Schema = { type: 'string' }
const time: Schema = { type: 'string', format: 'date-time' }
const count: Schema = { type: 'integer', minimum: 0 }
const number: Schema = { type: 'number' }
const truth: Schema = { type: 'boolean' }
const cid: Schema = { type: 'string', pattern: '^b[a-z2-7]{58}$', description: 'Content id.' }
const key: Schema = { type: 'string', pattern: '^[0-9a-f]{64}$', description: 'Ed25519 key.' }
const anything: Schema = { type: 'object', additionalProperties: true }

const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` })
const list = (items: Schema): Schema => ({ type: 'array', items })
const choice = (...values: readonly string[]): Schema => ({ type: 'string', enum: values })
const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: 'null' }] })
/** All properties are required but those named in `optional`. */
const object = (properties: Record<string, Schema>, optional: readonly string[] = []): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
})

const right = choice('see', 'list', 'mirror', 'run')
const rosterRight = choice('list', 'mirror', 'run')
const rosterState = choice('OK', 'WITHDRAWN', 'CONTESTED', 'UNKNOWN')
const scope = choice('read', 'infer', 'publish', 'admin')
const withdrawal = choice('yank', 'recall', 'erase')
const place = object({ epoch: count, seq: count, tip: cid })
const position = object({ epoch: count, seq: count })
const detail = {
  field: text,
  limit: { type: ['string', 'number'] },
  got: { type: ['string', 'number'] },
  hint: text,
}

const summary = {
  ref: text,
  record: cid,
  root: cid,
  publisher: ref('Publisher'),
  name: text,
  version: text,
  title: text,
  description: text,
  license: orNull(text),
  tags: list(text),
  published: time,
  weights: list(text),
  inputs: list(text),
  tested: text,
  withdrawn: orNull(withdrawal),
  audience: orNull(list(text)),
  held: truth,
  replicas: orNull(count),
  floor: count,
  runnable: object({ here: truth, reason: orNull(text) }),
}

const model = {
  ...summary,
  key,
  position,
  files: list(ref('ModelFile')),
  holders: list(ref('Publisher')),
  fetch: choice('always', 'demand', 'never'),
  pinned: truth,
  bytes: count,
  aliases: list(text),
  versions: list(object({ version: text, record: cid })),
  withdrawals: list(
    object({
      record: cid,
      verb: withdrawal,
      reason: text,
      note: text,
      published: time,
      restored: truth,
    }),
  ),
  sameFiles: list(object({ ref: text, record: cid, withdrawn: orNull(withdrawal) })),
  card: { ...anything, description: 'The card in the normal form of this version of Zoarium.' },
}

const token = { id: text, label: text, scopes: list(scope), created: time, expires: orNull(time) }

export const schemas: Readonly<Record<string, Schema>> = {
  Error: object({
    error: object({ code: text, message: text, ...detail, issues: list(ref('Issue')) }, [
      ...Object.keys(detail),
      'issues',
    ]),
  }),
  Issue: object({ code: text, message: text, ...detail, line: count }, [
    ...Object.keys(detail),
    'line',
  ]),
  Publisher: object({
    id: cid,
    label: orNull(text),
    displayName: orNull(text),
    petname: orNull(text),
    handle: orNull(text),
    handleVerified: truth,
    handleProblem: orNull(ref('Issue')),
    right,
    send: truth,
  }),
  Handle: object({ version: { const: 1 }, publisher: cid }),
  Health: object({ ok: truth }),
  Readiness: object({ ready: truth, reasons: list(text) }),
  Node: object({
    publisher: ref('Publisher'),
    peer: text,
    addresses: list(text),
    version: text,
    started: time,
    counts: object({ records: count, models: count, publishers: count }),
    logs: list(
      object({
        publisher: cid,
        key,
        epoch: orNull(count),
        seq: orNull(count),
        state: choice('OK', 'STALE', 'UNCLOSED', 'INCOMPLETE', 'CONTESTED'),
        missing: count,
      }),
    ),
    blobs: object({ count, bytes: count }),
    engine: object({
      name: text,
      version: text,
      executionProviders: list(text),
      isolation: list(text),
      queued: count,
      running: count,
      warm: list(cid),
    }),
    quotas: list(ref('Quota')),
    incomplete: count,
    atRisk: object({
      total: count,
      models: list(object({ ref: text, record: cid, replicas: count, floor: count })),
    }),
    scrub: orNull(ref('Scrub')),
    self: choice('sure', 'asking', 'unsure'),
    renewals: list(
      object({
        key,
        scope: choice(...SCOPES),
        notAfter: time,
        renews: orNull(time),
        problem: orNull(ref('Issue')),
      }),
    ),
    warnings: list(ref('Issue')),
    rosters: list(
      object({
        publisher: cid,
        issuer: text,
        name: text,
        own: truth,
        followed: truth,
        state: rosterState,
        waiting: count,
      }),
    ),
  }),
  Scrub: object({
    started: time,
    finished: orNull(time),
    files: count,
    bytes: count,
    rotten: count,
  }),
  Quota: object({
    publisher: orNull(ref('Publisher')),
    peer: orNull(text),
    kind: choice('records', 'profiles', 'models', 'bytes', 'mirror', 'disk', 'faults'),
    limit: count,
    since: time,
    until: orNull(time),
    leftOut: text,
  }),
  Peer: object({
    peer: text,
    addresses: list(text),
    connected: truth,
    publisher: orNull(ref('Publisher')),
    roles: list(text),
    rttMs: orNull(number),
    fileRate: orNull(number),
    lastSync: orNull(time),
    shutOutUntil: orNull(time),
    serves: count,
    queue: orNull(count),
  }),
  Peers: object({ items: list(ref('Peer')) }),
  PeerAddress: object({ address: text }),
  SyncRequest: object({ peer: orNull(text) }, ['peer']),
  Syncs: object({
    items: list(
      object({
        peer: text,
        ok: truth,
        error: orNull(text),
        records: count,
        bytes: count,
        roundTrips: count,
        ms: number,
        refused: list(object({ publisher: text, code: text, message: text })),
      }),
    ),
  }),
  Resolved: object({
    ref: text,
    record: cid,
    root: cid,
    publisher: cid,
    name: text,
    version: text,
  }),
  ModelSummary: object(summary),
  ModelPage: object({
    items: list(ref('ModelSummary')),
    total: count,
    next: orNull(text),
    unlisted: list(ref('Publisher')),
  }),
  ModelFile: object({
    path: text,
    size: count,
    cid,
    sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' },
    role: text,
    mediaType: text,
    held: truth,
  }),
  Model: object(model),
  ModelRecord: object({ kind: { const: 'model' }, ...model }),
  OtherRecord: object({
    kind: choice('model', 'withdraw', 'tag', 'attest', 'profile', 'roster'),
    record: cid,
    publisher: cid,
    key,
    position,
    prev: orNull(cid),
    published: time,
    body: anything,
  }),
  Keys: object({
    publisher: cid,
    length: count,
    tip: cid,
    threshold: count,
    rotations: count,
    roots: list(object({ key, here: truth })),
    next: object({ commitment: text, here: truth, held: count }),
    sealed: truth,
    steward: orNull(cid),
    devices: list(
      object({
        key,
        scope: choice(...SCOPES),
        audience: orNull(
          object({
            publishers: list(cid),
            rosters: list(object({ publisher: cid, name: text })),
          }),
        ),
        state: choice('active', 'expiring', 'expired', 'revoked'),
        notBefore: time,
        notAfter: time,
        here: truth,
        revoked: orNull(text),
        epoch: count,
        last: orNull(place),
        cuts: list(object({ last: orNull(place), epoch: orNull(count) })),
      }),
    ),
  }),
  Identity: object({
    publisher: cid,
    operations: list({ type: 'string', contentEncoding: 'base64' }),
    devices: list(object({ key, scope: choice(...SCOPES), notBefore: time, notAfter: time })),
  }),
  Publication: object({
    dryRun: truth,
    record: orNull(cid),
    ref: text,
    name: text,
    version: text,
    root: orNull(cid),
    files: list(object({ path: text, size: count, role: text })),
    bytes: count,
    tested: text,
    test: orNull(object({ worstAbsolute: number, mismatchedPerMillion: number, ms: number })),
    warnings: list(ref('Issue')),
  }),
  AttestRequest: object({ ref: text, claim: choice(...CLAIMS), note: text }, ['claim', 'note']),
  WithdrawRequest: object(
    { ref: text, verb: choice(...WITHDRAW_VERBS), reason: text, note: text },
    ['note'],
  ),
  ErasureRequest: object({ ref: text }),
  Erasures: object({
    items: list(
      object({
        record: cid,
        publisher: ref('Publisher'),
        name: text,
        version: text,
        by: choice('publisher', 'operator'),
        since: time,
        due: time,
        gone: truth,
      }),
    ),
  }),
  Nothing: object({}),
  Collected: object({ count, bytes: count }),
  Import: object({
    models: list(object({ record: cid, ref: text })),
    records: count,
    files: count,
    bytes: count,
  }),
  Doctor: object({
    findings: list(
      object(
        { check: text, state: choice('ok', 'warn', 'fail', 'skip'), message: text, hint: text },
        ['hint'],
      ),
    ),
    isWell: truth,
  }),
  GarbageRequest: object({ now: truth }, ['now']),
  Garbage: object({
    count,
    bytes: count,
    waiting: object({ count, bytes: count, until: orNull(time) }),
  }),
  TagRequest: object({ ref: text, tag: text }),
  PinRequest: object({ ref: text }),
  Pins: object({ items: list(object({ record: cid, ref: orNull(text), held: truth })) }),
  Statement: object({ record: cid, target: cid, ref: text }),
  Profile: object({
    record: cid,
    publisher: ref('Publisher'),
    url: orNull(text),
    ror: orNull(text),
  }),
  ProfileChange: object(
    {
      label: text,
      displayName: text,
      handle: orNull(text),
      url: orNull(text),
      ror: orNull(text),
    },
    ['handle', 'url', 'ror'],
  ),
  PullRequest: object({ ref: text }),
  Pull: object({ record: cid, ref: text, bytes: count, fetched: count, ms: number }),
  Route: object({
    items: list(
      object({
        node: text,
        publisher: orNull(ref('Publisher')),
        eligible: truth,
        reason: orNull(text),
        cost: orNull(
          object({
            uploadMs: number,
            rttMs: number,
            queueMs: number,
            coldMs: number,
            computeMs: number,
            totalMs: number,
          }),
        ),
      }),
    ),
  }),
  TrustRule: object({ publisher: text, right, petname: orNull(text), send: truth }, [
    'petname',
    'send',
  ]),
  Trust: object({
    items: list(
      object({
        publisher: ref('Publisher'),
        own: truth,
        because: choice('own', 'rule', 'roster', 'issuer'),
        roster: orNull(object({ publisher: cid, name: text })),
        line: orNull(count),
      }),
    ),
    run: list(
      object({
        attested: count,
        of: list(ref('Publisher')),
        publishers: orNull(list(ref('Publisher'))),
        line: orNull(count),
      }),
    ),
    strangers: list(ref('Publisher')),
  }),
  TrustExplanation: object({
    ref: text,
    publisher: ref('Publisher'),
    contested: truth,
    model: orNull(
      object({
        record: cid,
        ref: text,
        root: cid,
        withdrawn: orNull(choice('yank', 'recall', 'erase')),
        contested: truth,
        fetch: choice('always', 'demand', 'never'),
        floor: count,
        fetchBecause: text,
      }),
    ),
    rights: list(
      object({
        right: choice('see', 'list', 'mirror', 'run', 'send'),
        granted: truth,
        because: text,
        line: orNull(count),
        change: orNull(text),
      }),
    ),
    attestations: list(
      object({
        record: cid,
        publisher: ref('Publisher'),
        claim: text,
        counts: truth,
        because: text,
      }),
    ),
  }),
  Roster: object({
    publisher: ref('Publisher'),
    name: text,
    own: truth,
    state: rosterState,
    record: orNull(cid),
    right: orNull(rosterRight),
    members: list(ref('Publisher')),
    bootstrap: list(text),
    rivals: list(cid),
    followed: orNull(
      object({
        right: rosterRight,
        line: orNull(count),
        waiting: list(cid),
        gone: list(ref('Publisher')),
      }),
    ),
  }),
  Rosters: object({ items: list(ref('Roster')) }),
  RosterRequest: object(
    {
      name: text,
      add: orNull(list(text)),
      remove: orNull(list(text)),
      right: orNull(rosterRight),
      bootstrap: orNull(list(text)),
    },
    ['add', 'remove', 'right', 'bootstrap'],
  ),
  Join: object({
    dryRun: truth,
    publisher: ref('Publisher'),
    fingerprint: text,
    name: text,
    record: cid,
    signed: time,
    fresh: time,
    recommends: rosterRight,
    right: rosterRight,
    before: orNull(rosterRight),
    members: list(
      object({
        publisher: ref('Publisher'),
        right,
        because: choice('roster', 'rule', 'own'),
        isNew: truth,
      }),
    ),
    removed: list(ref('Publisher')),
    bootstrap: list(object({ address: text, connected: orNull(truth), error: orNull(text) })),
  }),
  LeaveRequest: object({ publisher: text, name: text }),
  Leave: object({
    publisher: ref('Publisher'),
    name: text,
    members: list(object({ publisher: ref('Publisher'), before: right })),
  }),
  TokenRequest: object(
    { label: text, scopes: list(scope), expiresMs: orNull({ type: 'integer', minimum: 1 }) },
    ['label', 'expiresMs'],
  ),
  Token: object(token),
  Tokens: object({ items: list(ref('Token')) }),
  NewToken: object({ ...token, token: text }),
  Event: object({
    type: choice('record', 'blob', 'progress', 'peer', 'identity', 'head', 'holdings'),
    at: time,
    data: anything,
  }),
}
