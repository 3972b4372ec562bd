/**
 * The three kinds of failure, and the one table of error codes.
 *
 * 1. Foreign data that is wrong: a {@link Verdict} `{ok: false, ...}`, never a throw.
 * 2. An operation that failed: a thrown {@link ZoariumError}.
 * 3. Our own bug: an assertion or a TypeError without a code, caught by nobody.
 *
 * Codes are stable API within a major version; messages are free. The table maps each code to its
 * HTTP status and to the exit status of the command line; nothing else in the program does.
 */

/** Exit statuses of the command line. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  invalidInput: 4,
  refused: 5,
  unreachable: 6,
  unverified: 7,
} as const

interface CodeEntry {
  /** HTTP status. */
  readonly status: number
  /** Exit status of the command line. */
  readonly exit: number
  readonly meaning: string
}

const invalid = (status: number, meaning: string): CodeEntry => ({
  status,
  exit: EXIT.invalidInput,
  meaning,
})
const refused = (status: number, meaning: string): CodeEntry => ({
  status,
  exit: EXIT.refused,
  meaning,
})
const unverified = (meaning: string): CodeEntry => ({ status: 422, exit: EXIT.unverified, meaning })
const busy = (status: number, meaning: string): CodeEntry => ({
  status,
  exit: EXIT.unreachable,
  meaning,
})
const missing = (meaning: string): CodeEntry => ({ status: 404, exit: EXIT.notFound, meaning })
const failed = (status: number, meaning: string): CodeEntry => ({
  status,
  exit: EXIT.failed,
  meaning,
})

/** Every code there is. Append; never rename within a major version. */
export const CODES = {
  // Encoding and content ids
  CBOR_NONCANONICAL: unverified('not the one canonical encoding (order, length, tag)'),
  CBOR_FLOAT: unverified('floating point numbers are not allowed in records'),
  CBOR_SIMPLE: unverified('undefined and other simple values are not allowed'),
  INT_RANGE: unverified('integer beyond 2^53-1'),
  UTF8: unverified('text is not valid UTF-8'),
  NFC: unverified('a name is not in Unicode normal form C'),
  DEPTH: unverified('nested too deep'),
  TRUNCATED: unverified('the bytes end too early'),
  TRAILING: unverified('bytes follow the end of the value'),
  KEY_RESERVED: unverified('a map key is reserved'),
  CID_PROFILE: unverified('content id outside the profile (v1, sha2-256, raw or dag-cbor)'),
  CID_TEXT: invalid(400, 'not a content id in lower-case base32'),
  CONTENT_MISMATCH: unverified('bytes do not have the hash they should have'),
  // Signatures, identity, logs
  SIG_LENGTH: unverified('a signature is 64 bytes'),
  SIG_NONCANONICAL: unverified('signature scalar not canonical (S >= L)'),
  SIG_WEAK: unverified('signature point R is of low order or not canonical'),
  KEY_WEAK: unverified('public key is of low order'),
  KEY_NONCANONICAL: unverified('public key is not canonically encoded'),
  SIG_INVALID: unverified('the signature does not fit key and bytes'),
  RECORD_INVALID: unverified('a statement or a message breaks its schema'),
  UNKNOWN_FIELD: unverified('a field that the schema does not know'),
  UNKNOWN_VERSION: unverified('a version of the format that this node does not speak'),
  KEY_NOT_DELEGATED: refused(403, 'the key was never delegated by that publisher'),
  KEY_REVOKED: refused(403, 'the key was revoked before that position'),
  KEY_EXPIRED: refused(403, 'the delegation of the key has run out'),
  SCOPE: refused(403, 'the key may not sign that kind of statement'),
  THRESHOLD: unverified('root keys: 1 <= k <= n, each key once'),
  THRESHOLD_NOT_MET: unverified('too few root signatures'),
  PREROTATION: unverified('a rotation to other root keys than those committed to'),
  IDENTITY_INVALID: unverified('an identity operation breaks its schema or its chain'),
  IDENTITY_TOO_LONG: unverified('identity chain longer than the limit'),
  SEQ: unverified('a position that cannot follow the one before'),
  GAP: { status: 409, exit: EXIT.unverified, meaning: 'a record before this one is missing here' },
  PREV_UNKNOWN: { status: 409, exit: EXIT.unverified, meaning: 'prev names another record' },
  EQUIVOCATION: {
    status: 409,
    exit: EXIT.unverified,
    meaning: 'two signed statements at one position',
  },
  CONTESTED: { status: 409, exit: EXIT.refused, meaning: 'the log or identity has forked' },
  UNCLOSED: refused(409, 'the record came after the end of its key, and nobody has vouched for it'),
  AUDIENCE: refused(403, 'the log is private, and not for this node'),
  STALE: refused(409, 'older than what may be relied on'),
  VERSION_CONFLICT: {
    status: 409,
    exit: EXIT.refused,
    meaning: 'name@version stands for two models',
  },
  HELD: refused(409, 'dated in the future; held until then'),
  BINDING_INVALID: refused(403, 'the peer is not bound to that publisher now'),
  HANDLE: unverified('the host of a handle does not confirm the publisher'),
  // References
  REF: invalid(400, 'not a model reference'),
  AMBIGUOUS: { status: 409, exit: EXIT.invalidInput, meaning: 'the name fits more than one' },
  NOT_FOUND: missing('nothing of that name is known here'),
  BLOB_MISSING: missing('the bytes are not on this node'),
  // Packages and cards
  NOT_A_PACKAGE: invalid(422, 'not a BioImage.IO package'),
  YAML: invalid(422, 'the card is not valid YAML'),
  YAML_ALIAS: invalid(422, 'YAML aliases are not accepted'),
  CARD_INVALID: invalid(422, 'the card breaks the model format'),
  FORMAT_VERSION: invalid(422, 'a card format that this node does not read'),
  FILE_MISSING: invalid(422, 'a file that the card names is not in the package'),
  FILE_REMOTE: invalid(422, 'the card names a remote file; packages carry their files'),
  FILE_HASH: invalid(422, 'a file does not have the sha256 that the card states'),
  PATH: invalid(422, 'a file name that no package may hold'),
  NAME_CLASH: invalid(422, 'two file names that some file systems cannot tell apart'),
  NAME: invalid(422, 'not a valid name'),
  VERSION_EXISTS: {
    status: 409,
    exit: EXIT.invalidInput,
    meaning: 'that version is published; versions never change',
  },
  ZIP: invalid(422, 'not a zip archive that can be read safely'),
  WEIGHTS: invalid(422, 'no such weights in the package'),
  WEIGHTS_CONTENT: invalid(415, 'the weights file is not what it should be'),
  LIMIT: invalid(413, 'over a stated limit'),
  // Models and inference
  MODEL_PARSE: invalid(422, 'the weights cannot be parsed'),
  MODEL_UNSUPPORTED: invalid(422, 'the model needs something that this node does not offer'),
  EXTERNAL_DATA: invalid(422, 'the weights point at data outside the package'),
  MODEL_FAILED: invalid(422, 'the model fails on this input'),
  MODEL_CRASH: failed(502, 'the process that ran the model died'),
  MODEL_MEMORY: failed(507, 'the model needs more memory than it may use'),
  MODEL_QUARANTINED: busy(503, 'the model failed too often and is set aside for a while'),
  TIMEOUT: busy(504, 'over the deadline'),
  NOT_RUNNABLE: refused(409, 'this node cannot run the model'),
  INPUT: invalid(400, 'the input does not fit the model'),
  INPUT_LENGTH: invalid(400, 'the data are shorter or longer than their shape says'),
  INPUT_EMPTY: invalid(400, 'no input'),
  IMAGE: invalid(422, 'not an image that can be read'),
  FORMAT: invalid(415, 'an unknown or unsupported format'),
  PIXELS: invalid(413, 'more pixels than are decoded at once'),
  TILING_NEEDED: invalid(413, 'the image would have to be tiled, which this version does not do'),
  OUTPUT_SHAPE: failed(502, 'the model returned other shapes than it declares'),
  TEST_FAILED: invalid(422, 'the model does not reproduce its own test output'),
  // Trust and routing
  TRUST: refused(403, 'no trust rule allows that'),
  POLICY: { status: 422, exit: EXIT.usage, meaning: 'the policy file is not valid' },
  CONFIG: { status: 422, exit: EXIT.usage, meaning: 'the configuration is not valid' },
  RECALLED: refused(451, 'its publisher took it back'),
  ERASED: refused(410, 'the model was erased'),
  QUOTA: refused(429, 'over a quota'),
  NO_PROVIDER: busy(503, 'no reachable node holds that'),
  NO_ROUTE: busy(503, 'no node that may and can run it is reachable'),
  PEER: busy(502, 'the other node failed or broke the protocol'),
  UNREACHABLE: busy(503, 'no connection'),
  GIVEN: busy(409, 'the leaf was given to others, who may pass it on'),
  BUSY: busy(429, 'the queue is full; try again later'),
  ADDRESS: refused(502, 'a host whose addresses this node may not ask'),
  // HTTP
  HOST: refused(421, 'a Host that this daemon does not serve'),
  ORIGIN: refused(403, 'a web page of another origin'),
  TOKEN: { status: 401, exit: EXIT.refused, meaning: 'a token is needed' },
  TOKEN_SCOPE: refused(403, 'the token lacks the scope'),
  MEDIA_TYPE: invalid(415, 'a Content-Type that the route does not take'),
  METHOD: invalid(405, 'a method that the route does not take'),
  PARAMETER: invalid(400, 'a parameter is wrong'),
  JSON_DUP: invalid(400, 'a JSON object names a field twice'),
  NUMBER_RANGE: invalid(400, 'a number in JSON beyond 2^53-1'),
  RANGE: invalid(416, 'a byte range outside the file'),
  CANCELLED: busy(499, 'the client went away'),
  // The node itself
  USAGE: { status: 400, exit: EXIT.usage, meaning: 'the command line is wrong' },
  NODE_VERSION: failed(500, 'Node.js is too old'),
  LOCKED: busy(423, 'another daemon uses the data folder'),
  NOT_INITIALISED: { status: 409, exit: EXIT.usage, meaning: 'no node here yet; run zoarium init' },
  NEWER_STORE: failed(500, 'the data folder was written by a newer version'),
  DISK_FULL: failed(507, 'no space is left on the disk'),
  STORE: failed(500, 'the data folder cannot be read or written'),
  SELF_UNSURE: refused(409, 'this node is not sure of its own last signed position'),
  KEY_SEALED: refused(403, 'the private keys are sealed, and the passphrase is missing or wrong'),
  INTERNAL: failed(500, 'a defect in this program'),
} as const satisfies Record<string, CodeEntry>

export type Code = keyof typeof CODES

/** What went wrong, in parts that a program can read. All fields are safe to show. */
export interface Detail {
  /** The field, file or parameter that is wrong, as its author would name it. */
  readonly field?: string
  readonly limit?: number | string
  readonly got?: number | string
  /** One sentence: the way out. */
  readonly hint?: string
  /** Further failures of the same check, e.g. every missing file. */
  readonly issues?: readonly Issue[]
}

/** One finding about foreign data. */
export interface Issue extends Omit<Detail, 'issues'> {
  readonly code: Code
  readonly message: string
  /** 1-based line in the card, where it is known. */
  readonly line?: number
}

export interface Failure extends Detail {
  readonly ok: false
  readonly code: Code
  readonly message: string
}

/** The answer of every check of foreign data. */
export type Verdict<T> = { readonly ok: true; readonly value: T } | Failure

export const accept = <T>(value: T): Verdict<T> => ({ ok: true, value })

export const refuse = (code: Code, message: string, detail: Detail = {}): Failure => ({
  ok: false,
  code,
  message,
  ...detail,
})

/** A failure as one finding among others. */
export function issueOf(failure: Failure): Issue {
  const { ok: _, issues: __, ...issue } = failure
  return issue
}

/** Findings as one failure: it reads as the first and lists all. */
export function refuseAll(issues: readonly [Issue, ...Issue[]]): Failure {
  const { code, message, line: _, ...detail } = issues[0]
  const more = issues.length - 1
  return refuse(code, more === 0 ? message : `${message}, and ${more} more`, { ...detail, issues })
}

/** An operation that failed. `message` reads `couldn't <verb> <noun>` or names the rule broken. */
export class ZoariumError extends Error {
  override readonly name = 'ZoariumError'
  readonly code: Code
  readonly data: Detail

  constructor(code: Code, message: string, data: Detail = {}, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.code = code
    this.data = data
  }

  /** The failed verdict as an error. */
  static of(failure: Failure): ZoariumError {
    const { ok: _, code, message, ...detail } = failure
    return new ZoariumError(code, message, detail)
  }
}

/** The value of a verdict; throws a {@link ZoariumError} if there is none. */
export function expectOk<T>(verdict: Verdict<T>): T {
  if (!verdict.ok) throw ZoariumError.of(verdict)
  return verdict.value
}

/** Stops on our own bug; never called with foreign data. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new TypeError(message)
}
