/**
 * The JSON of the `/v1` routes: what the daemon answers and the command line reads. Types only;
 * docs/http-api.md describes the routes, and `/v1/openapi.json` is checked against both by a test.
 *
 * Times are ISO 8601 UTC text, durations milliseconds, sizes bytes.
 */
import type { Audience } from './audience.ts'
import type { Cid } from './cid.ts'
import type { Reason } from './device.ts'
import type { Issue } from './errors.ts'
import type { FileRole, ModelDescription, WeightFormat } from './model-description.ts'
import type { RecordKind } from './record.ts'
import type { Scope as DeviceScope } from './scope.ts'

export type Right = 'see' | 'list' | 'mirror' | 'run'
export type RosterRight = Exclude<Right, 'see'>
export type Scope = 'read' | 'infer' | 'publish' | 'admin'

/** Every error answer of `/v1`. */
export interface ErrorBody {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly field?: string
    readonly limit?: number | string
    readonly got?: number | string
    readonly hint?: string
    readonly issues?: readonly Issue[]
  }
}

export interface PublisherView {
  readonly id: Cid
  /** Its own short name, signed in its profile; null while no profile is known. */
  readonly label: string | null
  readonly displayName: string | null
  /** What this node's operator calls it. */
  readonly petname: string | null
  /** The domain name that its profile claims. */
  readonly handle: string | null
  /** Whether that domain names the publisher too; never of strangers, whose claims are not checked. */
  readonly handleVerified: boolean
  /** Why that domain did not confirm it when it was asked last; null where it did, or was not. */
  readonly handleProblem: Issue | null
  readonly right: Right
  /** Whether images may be sent to it for inference. */
  readonly send: boolean
}

/** GET /v1/node */
export interface NodeView {
  readonly publisher: PublisherView
  readonly peer: string
  /** libp2p addresses with the PeerId, ready for `--peer`. */
  readonly addresses: readonly string[]
  readonly version: string
  readonly started: string
  readonly counts: {
    readonly records: number
    readonly models: number
    readonly publishers: number
  }
  readonly logs: readonly LogView[]
  readonly blobs: { readonly count: number; readonly bytes: number }
  readonly engine: EngineView
  /** Limits that are met now. */
  readonly quotas: readonly QuotaView[]
  /** Models that this node fetches by itself and does not hold in full yet. */
  readonly incomplete: number
  /** Models for everybody that fewer institutions hold than their floor, as of the last look. */
  readonly atRisk: AtRiskView
  /** The last round in which all files were hashed anew, or the one under way; null: none yet. */
  readonly scrub: ScrubView | null
  /**
   * Whether it may sign records: `asking` for seconds after a start that followed no orderly stop,
   * `unsure` until a peer has confirmed what it signed last.
   */
  readonly self: 'sure' | 'asking' | 'unsure'
  /** Own keys that run out within 30 days or have run out, the next one first. */
  readonly renewals: readonly RenewalView[]
  /** What keeps this node from working as it should, each with the way out. */
  readonly warnings: readonly Issue[]
  /** Rosters that it issues or follows. */
  readonly rosters: readonly RosterStatus[]
}

/** POST /v1/doctor */
export interface DoctorView {
  readonly findings: readonly FindingView[]
  /** Nothing fails. */
  readonly isWell: boolean
}

export interface FindingView {
  /** What was looked at: `reach`, `clock`, `disk`. */
  readonly check: string
  /** `skip`: it could not be told. */
  readonly state: 'ok' | 'warn' | 'fail' | 'skip'
  readonly message: string
  /** What to change. */
  readonly hint?: string
}

export interface AtRiskView {
  readonly total: number
  /** The first 20 of them, own ones first. */
  readonly models: readonly {
    readonly ref: string
    readonly record: Cid
    readonly replicas: number
    readonly floor: number
  }[]
}

/** GET /v1/pins */
export interface PinView {
  readonly record: Cid
  /** Null where the model is not listed here now. */
  readonly ref: string | null
  /** Whether every file is here. */
  readonly held: boolean
}

export interface ScrubView {
  readonly started: string
  /** Null: under way. */
  readonly finished: string | null
  readonly files: number
  readonly bytes: number
  /** Files whose bytes had changed on disk; they were set aside and are fetched anew. */
  readonly rotten: number
}

export interface RenewalView {
  readonly key: string
  readonly scope: DeviceScope
  readonly notAfter: string
  /** When this node renews it by itself; null where people have to. */
  readonly renews: string | null
  /** Why this node could not renew it, though it was due. */
  readonly problem: Issue | null
}

/** A limit that is met: something is left out now. */
export interface QuotaView {
  /** Whose; null for limits of the whole node, or of a peer. */
  readonly publisher: PublisherView | null
  /** The PeerId, for `faults`. */
  readonly peer: string | null
  /**
   * `records` and `profiles` of a day, `models`, `bytes` of files of a publisher; `mirror`, all files
   * here; `disk`, what must stay free; `faults` of a peer in a minute, which shut it out.
   */
  readonly kind: 'records' | 'profiles' | 'models' | 'bytes' | 'mirror' | 'disk' | 'faults'
  readonly limit: number
  readonly since: string
  /** When it goes on by itself; null: once there is room. */
  readonly until: string | null
  /** What is left out. */
  readonly leftOut: string
}

export interface LogView {
  readonly publisher: Cid
  readonly key: string
  /** Where its newest record here stands; null where only a head is known. */
  readonly epoch: number | null
  readonly seq: number | null
  /**
   * The worst that holds. CONTESTED: forked. INCOMPLETE: records that its head names are not here.
   * UNCLOSED: its newest records came after the end of their key. STALE: no head within 7 days.
   */
  readonly state: 'OK' | 'STALE' | 'UNCLOSED' | 'INCOMPLETE' | 'CONTESTED'
  /** Records that its head names and that are not here. */
  readonly missing: number
}

export interface EngineView {
  readonly name: string
  readonly version: string
  readonly executionProviders: readonly string[]
  /** What keeps a model's process from the machine: `memory`, `network`, `parent-death`, `privileges`. */
  readonly isolation: readonly string[]
  readonly queued: number
  readonly running: number
  /** Records whose sessions are open. */
  readonly warm: readonly Cid[]
}

/** GET /v1/peers -> {items} */
export interface PeerView {
  readonly peer: string
  readonly addresses: readonly string[]
  readonly connected: boolean
  readonly publisher: PublisherView | null
  readonly roles: readonly string[]
  /** Round trip, milliseconds, smoothed; null before the first ping. */
  readonly rttMs: number | null
  /** Bytes of files a second that it gave to this node, smoothed; null before the first file. */
  readonly fileRate: number | null
  readonly lastSync: string | null
  /** When it may come again, after too many faults; null: it may. */
  readonly shutOutUntil: string | null
  /** Models that it offers to run. */
  readonly serves: number
  readonly queue: number | null
}

/** POST /v1/sync -> {items} */
export interface SyncView {
  readonly peer: string
  readonly ok: boolean
  readonly error: string | null
  /** Records new here. */
  readonly records: number
  /** Both directions. */
  readonly bytes: number
  readonly roundTrips: number
  readonly ms: number
  /** What was offered and not taken in; of each log the first record, which tells why. */
  readonly refused: readonly {
    readonly publisher: Cid
    readonly code: string
    readonly message: string
  }[]
}

export interface ModelFileView {
  readonly path: string
  readonly size: number
  readonly cid: Cid
  readonly sha256: string
  readonly role: FileRole | string
  readonly mediaType: string
  /** Whether the bytes are on this node. */
  readonly held: boolean
}

/** An item of GET /v1/models. */
export interface ModelSummary {
  /** `label/name@version`, or with the publisher's id where the label is not unique. */
  readonly ref: string
  readonly record: Cid
  readonly root: Cid
  readonly publisher: PublisherView
  readonly name: string
  readonly version: string
  readonly title: string
  readonly description: string
  readonly license: string | null
  readonly tags: readonly string[]
  readonly published: string
  /** Weight formats among the record's files. */
  readonly weights: readonly WeightFormat[]
  /** Per input: axis ids and channels, e.g. `batch,channel,y,x`. */
  readonly inputs: readonly string[]
  readonly tested: string
  readonly withdrawn: 'yank' | 'recall' | 'erase' | null
  /** Whose nodes may have it: publishers and rosters; null: everybody's. Its own publisher's always may. */
  readonly audience: readonly string[] | null
  /** Whether every file is on this node. */
  readonly held: boolean
  /** Institutions that hold every file, by the word of their nodes; null: private, so nobody tells. */
  readonly replicas: number | null
  /** How many are kept, as this node's mirror rules have it. */
  readonly floor: number
  /** Whether this node may and can run it now, and if not why. */
  readonly runnable: { readonly here: boolean; readonly reason: string | null }
}

export interface ModelPageView {
  readonly items: readonly ModelSummary[]
  readonly total: number
  readonly next: string | null
  /** Where nothing fits: publishers seen but not listed, which may be why. */
  readonly unlisted: readonly PublisherView[]
}

/** GET /v1/models/{publisher}/{name}[@{version}] */
export interface ModelView extends ModelSummary {
  readonly key: string
  readonly position: { readonly epoch: number; readonly seq: number }
  readonly files: readonly ModelFileView[]
  /** Who holds every file, this node's publisher first. */
  readonly holders: readonly PublisherView[]
  /** What this node does with the files by its mirror rules. */
  readonly fetch: 'always' | 'demand' | 'never'
  readonly pinned: boolean
  readonly bytes: number
  readonly aliases: readonly string[]
  readonly versions: readonly { readonly version: string; readonly record: Cid }[]
  readonly withdrawals: readonly WithdrawalView[]
  /** Models of other publishers that have the very same files; a withdrawal of one is not of all. */
  readonly sameFiles: readonly {
    readonly ref: string
    readonly record: Cid
    readonly withdrawn: ModelSummary['withdrawn']
  }[]
  readonly card: ModelDescription
}

/** What the publisher said to take a model back. */
export interface WithdrawalView {
  readonly record: Cid
  readonly verb: 'yank' | 'recall' | 'erase'
  readonly reason: string
  readonly note: string
  readonly published: string
  /** Whether it was taken back and counts for nothing. */
  readonly restored: boolean
}

/** GET /v1/erasures -> {items}: a model that is erased here. */
export interface ErasureView {
  readonly record: Cid
  readonly publisher: PublisherView
  readonly name: string
  readonly version: string
  readonly by: 'publisher' | 'operator'
  /** When this node learned of it. */
  readonly since: string
  /** When its bytes go, or went. */
  readonly due: string
  readonly gone: boolean
}

/** POST /v1/erasures, POST /v1/gc: files that were deleted. */
/** POST /v1/gc */
export interface GarbageView extends CollectedView {
  /** Files that no model names either, whose grace is not over. */
  readonly waiting: {
    readonly count: number
    readonly bytes: number
    /** When the first of them may go; null: none waits. */
    readonly until: string | null
  }
}

export interface CollectedView {
  readonly count: number
  readonly bytes: number
}

/** GET /v1/resolve?ref= */
export interface ResolveView {
  readonly ref: string
  readonly record: Cid
  readonly root: Cid
  readonly publisher: Cid
  readonly name: string
  readonly version: string
}

/** GET /v1/records/{cid} of a record that is no model; of a model, {@link ModelView} and `kind`. */
export interface RecordView {
  readonly kind: RecordKind
  readonly record: Cid
  readonly publisher: Cid
  readonly key: string
  readonly position: { readonly epoch: number; readonly seq: number }
  readonly prev: Cid | null
  readonly published: string
  /** As signed: see docs/protocol.md, "Records". */
  readonly body: Readonly<Record<string, unknown>>
}

/** GET /v1/identities/{publisher}: operations as base64. */
export interface IdentityView {
  readonly publisher: Cid
  readonly operations: readonly string[]
  readonly devices: readonly {
    readonly key: string
    readonly scope: DeviceScope
    readonly notBefore: string
    readonly notAfter: string
  }[]
}

export interface DeviceKeyView {
  readonly key: string
  readonly scope: DeviceScope
  /** For whom its log is; null: for everybody. */
  readonly audience: Audience | null
  readonly state: 'active' | 'expiring' | 'expired' | 'revoked'
  readonly notBefore: string
  readonly notAfter: string
  /** Whether its seed is on this machine. */
  readonly here: boolean
  readonly revoked: Reason | null
  /** The epoch in which it signs. */
  readonly epoch: number
  /** The newest record of its log that is known here. */
  readonly last: PlaceView | null
  /** What the root keys said of its log, oldest first. */
  readonly cuts: readonly { readonly last: PlaceView | null; readonly epoch: number | null }[]
}

export interface PlaceView {
  readonly epoch: number
  readonly seq: number
  readonly tip: string
}

/** GET /v1/keys, and what `zoarium keys` prints of a stopped node. */
export interface KeysView {
  readonly publisher: string
  /** Number of operations. */
  readonly length: number
  readonly tip: string
  readonly threshold: number
  readonly rotations: number
  readonly roots: readonly { readonly key: string; readonly here: boolean }[]
  /** The root key set that a rotation reveals; `here`: enough of it is on this machine. */
  readonly next: { readonly commitment: string; readonly here: boolean; readonly held: number }
  /** Whether the private keys on this machine are sealed. */
  readonly sealed: boolean
  /** The publisher that vouches for its records when it no longer can. */
  readonly steward: string | null
  readonly devices: readonly DeviceKeyView[]
}

/** POST /v1/publish */
export interface PublishView {
  readonly dryRun: boolean
  /** Null on a dry run. */
  readonly record: Cid | null
  readonly ref: string
  readonly name: string
  readonly version: string
  readonly root: Cid | null
  readonly files: readonly { readonly path: string; readonly size: number; readonly role: string }[]
  readonly bytes: number
  readonly tested: string
  /** What the run of the card's test found, where there was one. */
  readonly test: {
    readonly worstAbsolute: number
    readonly mismatchedPerMillion: number
    readonly ms: number
  } | null
  readonly warnings: readonly Issue[]
}

/** POST /v1/import */
export interface ImportView {
  /** The models that the file was made for. */
  readonly models: readonly { readonly record: Cid; readonly ref: string }[]
  /** Records that are new here. */
  readonly records: number
  /** Files that are new here, and their bytes. */
  readonly files: number
  readonly bytes: number
}

/** POST /v1/pull */
export interface PullView {
  readonly record: Cid
  readonly ref: string
  readonly bytes: number
  /** Bytes that had to be fetched. */
  readonly fetched: number
  readonly ms: number
}

/** POST /v1/withdraw, POST /v1/tags: a statement about an own model. */
export interface StatementView {
  /** The record that states it. */
  readonly record: Cid
  readonly target: Cid
  /** The model's reference by version. */
  readonly ref: string
}

/** One output of a run. */
export interface OutputView {
  /** The card's id of the tensor. */
  readonly id: string
  readonly axes: readonly string[]
  readonly shape: readonly number[]
  readonly dtype: string
}

/** POST .../infer: what comes in headers beside the result's bytes. */
export interface InferView {
  readonly mediaType: string
  /** Where it ran: `local` or the PeerId; `tried`: all nodes that were asked, in order. */
  readonly node: string
  readonly tried: readonly string[]
  /** Server-Timing entries, milliseconds. */
  readonly timings: Readonly<Record<string, number>>
  readonly outputs: readonly OutputView[]
  /** What the client should know: padding, dropped channels, spread values. */
  readonly notes: readonly string[]
}

/** Predicted milliseconds, each term and their sum. */
export interface CostView {
  readonly uploadMs: number
  readonly rttMs: number
  readonly queueMs: number
  readonly coldMs: number
  readonly computeMs: number
  readonly totalMs: number
}

/** One row of GET /v1/route; the first eligible one is taken. */
export interface RouteView {
  /** PeerId, or `local`. */
  readonly node: string
  readonly publisher: PublisherView | null
  readonly eligible: boolean
  /** Which rule excluded it, and how to change that. */
  readonly reason: string | null
  /** Null where not eligible. */
  readonly cost: CostView | null
}

export interface TrustRuleView {
  readonly publisher: PublisherView
  readonly own: boolean
  /** What gives it its right: a rule, a roster that names it, or that it issues one. */
  readonly because: 'own' | 'rule' | 'roster' | 'issuer'
  /** The roster that gives it; null where none does. */
  readonly roster: { readonly publisher: Cid; readonly name: string } | null
  /** Line of the policy file; null for the own publisher. */
  readonly line: number | null
}

/** GET and PUT /v1/profile: what this node's publisher says of itself. */
export interface ProfileView {
  /** The record that says it. */
  readonly record: Cid
  readonly publisher: PublisherView
  readonly url: string | null
  readonly ror: string | null
}

/** The body of PUT /v1/profile; what is left out is no longer said. */
export interface ProfileChange {
  readonly label: string
  readonly displayName: string
  readonly handle?: string | null
  readonly url?: string | null
  readonly ror?: string | null
}

/** Models of `publishers` (null: all listed ones) run if `attested` of the publishers in `of` vouch. */
export interface RunRuleView {
  readonly attested: number
  readonly of: readonly PublisherView[]
  readonly publishers: readonly PublisherView[] | null
  readonly line: number | null
}

/** GET /v1/trust -> {items, run, strangers} */
export interface TrustView {
  readonly items: readonly TrustRuleView[]
  readonly run: readonly RunRuleView[]
  readonly strangers: readonly PublisherView[]
}

/** How a roster that this node issues or follows stands. */
export interface RosterStatus {
  readonly publisher: Cid
  /** What its issuer is called here. */
  readonly issuer: string
  readonly name: string
  readonly own: boolean
  readonly followed: boolean
  /** UNKNOWN: no record of it is here yet. Its members get nothing unless it is OK or CONTESTED. */
  readonly state: 'OK' | 'WITHDRAWN' | 'CONTESTED' | 'UNKNOWN'
  /** Members that the operator has not accepted; they get nothing. */
  readonly waiting: number
}

/** GET /v1/rosters -> {items}; GET /v1/rosters/{publisher}/{name} */
export interface RosterView {
  readonly publisher: PublisherView
  readonly name: string
  readonly own: boolean
  readonly state: RosterStatus['state']
  /** The record that holds. */
  readonly record: Cid | null
  /** What it recommends. */
  readonly right: RosterRight | null
  readonly members: readonly PublisherView[]
  readonly bootstrap: readonly string[]
  readonly rivals: readonly Cid[]
  /** Null where its members get nothing here. */
  readonly followed: {
    readonly right: RosterRight
    /** Line of the policy file. */
    readonly line: number | null
    /** Members that the operator has not accepted; they get nothing. */
    readonly waiting: readonly Cid[]
    /** Accepted ones that it leaves out now; they get nothing any more. */
    readonly gone: readonly PublisherView[]
  } | null
}

export interface MemberView {
  readonly publisher: PublisherView
  /** What it has here once the roster is followed. */
  readonly right: Right
  /** `rule`: a rule names it, and wins over rosters. */
  readonly because: 'roster' | 'rule' | 'own'
  /** Whether it was not accepted before. */
  readonly isNew: boolean
}

export interface AddressView {
  readonly address: string
  /** Null where it was not tried. */
  readonly connected: boolean | null
  readonly error: string | null
}

/** POST /v1/join */
export interface JoinView {
  readonly dryRun: boolean
  /** The issuer. */
  readonly publisher: PublisherView
  /** 80 bits of its id, for comparing over the telephone. */
  readonly fingerprint: string
  readonly name: string
  readonly record: Cid
  readonly signed: string
  /** Until when it can be joined by this file. */
  readonly fresh: string
  /** What it recommends for its members. */
  readonly recommends: RosterRight
  /** What they get here. */
  readonly right: RosterRight
  /** What they had before; null: it was not followed. */
  readonly before: RosterRight | null
  readonly members: readonly MemberView[]
  /** Members that were accepted, and are none any more. */
  readonly removed: readonly PublisherView[]
  readonly bootstrap: readonly AddressView[]
}

/** POST /v1/leave */
export interface LeaveView {
  readonly publisher: PublisherView
  readonly name: string
  /** The members and the issuer, as they stand now, and what they had before. */
  readonly members: readonly { readonly publisher: PublisherView; readonly before: Right }[]
}

/** A right, and what decided it. */
export interface RightView {
  readonly right: Right | 'send'
  readonly granted: boolean
  readonly because: string
  /** Line of the policy file with the rule that decided; null: none did. */
  readonly line: number | null
  /** The command that turns it round; null: no command does. */
  readonly change: string | null
}

export interface AttestationView {
  readonly record: Cid
  readonly publisher: PublisherView
  readonly claim: string
  /** Whether a rule on running counts it, and why. */
  readonly counts: boolean
  readonly because: string
}

/** GET /v1/trust/explain?ref= */
export interface TrustExplanation {
  readonly ref: string
  readonly publisher: PublisherView
  /** Whether the identity of the publisher has forked. */
  readonly contested: boolean
  /** Null where the reference names a publisher, or a model that is not listed here. */
  readonly model: {
    readonly record: Cid
    readonly ref: string
    readonly root: Cid
    readonly withdrawn: 'yank' | 'recall' | 'erase' | null
    readonly contested: boolean
    /** What the mirror rules say of its files. */
    readonly fetch: 'always' | 'demand' | 'never'
    readonly floor: number
    readonly fetchBecause: string
  } | null
  readonly rights: readonly RightView[]
  /** What others state of the model's files, by record id. */
  readonly attestations: readonly AttestationView[]
}

export interface TokenView {
  readonly id: string
  readonly label: string
  readonly scopes: readonly Scope[]
  readonly created: string
  readonly expires: string | null
}

/** POST /v1/tokens: the only time that the token itself is shown. */
export interface NewTokenView extends TokenView {
  readonly token: string
}

/** One event of GET /v1/events; `type` is the SSE event name. */
export interface EventView {
  readonly type: 'record' | 'blob' | 'progress' | 'peer' | 'identity' | 'head' | 'holdings'
  readonly at: string
  readonly data: Readonly<Record<string, unknown>>
}
