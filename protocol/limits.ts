/**
 * Every bound of the protocol, named, with its unit and reason. docs/protocol.md prints the same
 * table. Bounds of one machine (queues, memory, sockets) stand beside the code that they bound.
 */

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

// Encoding
/** Deepest nesting of a CBOR value; records need 5. */
export const MAX_CBOR_DEPTH = 16
/** Largest record payload: 1,000 files at 250 bytes. */
export const MAX_RECORD_BYTES = 256 * KIB
/** Largest identity operation: a rotation to 16 root keys, signed by 32, needs 4 KiB. */
export const MAX_IDENTITY_OP_BYTES = 8 * KIB
/** Longest identity chain that is followed: one operation a week for 20 years. */
export const MAX_IDENTITY_OPS = 1024
/** Most publishers, and most rosters, of one audience: they fit an identity operation. */
export const MAX_AUDIENCE = 32
/** Most root keys of one publisher. */
export const MAX_ROOT_KEYS = 16
/** Most operations in a key bundle that are not signed by enough keys yet. */
export const MAX_DRAFTS = 16
/** Largest key bundle: the longest chain, all drafts and heads, and room for what frames them. */
export const MAX_BUNDLE_BYTES = 17 * 1024 * 1024
/** Most heads in a key bundle: one for each device key that is in use. */
export const MAX_BUNDLE_HEADS = 256
/** Longest life of a delegation, so that a forgotten machine falls silent. */
export const MAX_DELEGATION_MS = 400 * 24 * 3600 * 1000
/** Heads and bindings are small signed statements. */
export const MAX_STATEMENT_BYTES = 16 * KIB
/** Highest number in a log: a record a second for a century. */
export const MAX_SEQ = 2 ** 32 - 1
/** How far in the future a statement may be dated: clocks of institutes drift. */
export const MAX_CLOCK_AHEAD_MS = 10 * 60 * 1000
/** A head is shown STALE after this. */
export const HEAD_LIFE_MS = 7 * 24 * 3600 * 1000
/** Longest life of a binding. */
export const MAX_BINDING_MS = 7 * 24 * 3600 * 1000
/** Longest life of a heartbeat, so that a dead node is soon forgotten. */
export const MAX_HEARTBEAT_MS = 5 * 60 * 1000
/** Most models that a heartbeat says it serves: 41 bytes each, and a gossip message has 64 KiB. */
export const MAX_HEARTBEAT_SERVES = 1000
/** Most models that a heartbeat names as warm, or with a speed. */
export const MAX_HEARTBEAT_WARM = 64
/** Largest payload of a heartbeat: the models above and all its other fields. */
export const MAX_HEARTBEAT_BYTES = 60 * KIB
/** Longest life of a statement of holdings, so that a node that died is not counted for ever. */
export const MAX_HOLDINGS_MS = 7 * 24 * 3600 * 1000
/** Most models that a node says it holds: 32 bytes each, so that the statement fits a frame. */
export const MAX_HOLDINGS_MODELS = 10_000
/** Most models that a change adds, and that it takes away: 16 KiB; more are said anew. */
export const MAX_HOLDINGS_CHANGES = 256
/** Largest payload of a statement of holdings: the models above and all its other fields. */
export const MAX_HOLDINGS_BYTES = 320 * KIB
/** Most nodes of one publisher whose holdings are kept: one for each machine that it has. */
export const MAX_HOLDINGS_NODES = 8

// Models
/** Most files of one model version. */
export const MAX_FILES = 1000
/** Longest path of a file in a package, in UTF-8 bytes. */
export const MAX_PATH_BYTES = 255
/** Deepest folder of a file in a package. */
export const MAX_PATH_DEPTH = 8
/** Largest file: the policy of the field's archives (50 GB a record) rounded down to one file. */
export const MAX_BLOB_BYTES = 20 * GIB
/** Largest card (rdf.yaml): the largest published one has 60 KiB. */
export const MAX_CARD_BYTES = MIB
/** Most nodes of a card's YAML tree. */
export const MAX_CARD_NODES = 20_000
/** Deepest nesting of a card: free configuration included, none goes beyond 12. */
export const MAX_CARD_DEPTH = 32
/** Most findings that are listed about one card or package. */
export const MAX_ISSUES = 100
/** Longest note of a withdrawal, in characters. */
export const MAX_NOTE_CHARS = 200
/** Longest alias (an old id, a DOI), in characters. */
export const MAX_ALIAS_CHARS = 256
/** Longest reference, in characters: a handle, a name and a version need 382. */
export const MAX_REFERENCE_CHARS = 512
/** Longest display name of a publisher, in characters. */
export const MAX_DISPLAY_NAME_CHARS = 100
/** Longest URL that a record shows, in characters: what browsers take. */
export const MAX_URL_CHARS = 2048
/** Largest document by which a host confirms a handle; it needs 90 bytes. */
export const MAX_HANDLE_BYTES = 64 * KIB
/** How long a handle counts as verified without being confirmed again, as long as a head. */
export const HANDLE_LIFE_MS = 7 * 24 * 3600 * 1000
/** Most records that one tag, profile or roster replaces: branches of a rare race. */
export const MAX_REPLACES = 16
/** Most members of a roster: a continent's institutes. */
export const MAX_ROSTER_MEMBERS = 1000
/** Most addresses by which a roster lets newcomers in. */
export const MAX_ROSTER_BOOTSTRAP = 32
/** Longest libp2p address that a roster names, in characters. */
export const MAX_MULTIADDR_CHARS = 256
/** Largest CAR file by which a roster is joined: a roster of 1,000 members has 45 KiB. */
export const MAX_ROSTER_CAR_BYTES = MIB
/** Most models of one file of models; each brings the logs of its publisher. */
export const MAX_MODELS_CAR_MODELS = 100
/** Most statements and cards of such a file: what a publisher signs on one day at most. */
export const MAX_MODELS_CAR_STATEMENTS = 20_000
/** Bytes of those together: they are held in memory until all are verified. */
export const MAX_MODELS_CAR_STATEMENT_BYTES = 64 * MIB
/** Largest of such files: what one publisher may bring in all. */
export const MAX_MODELS_CAR_BYTES = 200 * GIB
/** Largest block of such a file, above every leaf, statement and tree node. */
export const MAX_CAR_BLOCK_BYTES = 2 * MIB
/** Most rosters that one sync answer names. */
export const MAX_SYNC_ROSTERS = 32
/** Most fields of an attestation, so that it stays a statement. */
export const MAX_ATTEST_FIELDS = 32
/** Largest body of an attestation: measurements by device need 2 KiB. */
export const MAX_ATTEST_BYTES = 16 * KIB
/** Most aliases (old ids, DOIs) of a model version. */
export const MAX_ALIASES = 32
/** Most model versions that one derives from. */
export const MAX_PARENTS = 16

// Content
/** A leaf of a file's tree: `unixfs-v1-2025`. */
export const LEAF_BYTES = MIB
/** Links of an inner node: `unixfs-v1-2025`. */
export const TREE_WIDTH = 1024
/** Largest inner node: 1,024 links of at most 64 bytes, with their sizes. */
export const MAX_TREE_NODE_BYTES = 128 * KIB
/** Most inner nodes of a file's tree: 20 GiB need 20 and a root. */
export const MAX_TREE_NODES = 32
/** A set of leaves of the largest file, one bit each. */
export const MAX_LEAF_SET_BYTES = MAX_BLOB_BYTES / LEAF_BYTES / 8
/** By which leaves are asked for over HTTPS: as hard to guess as a key. */
export const TICKET_BYTES = 32
/** Largest folder node; above it the profile shards, which no package needs. */
export const MAX_FOLDER_NODE_BYTES = 256 * KIB

// Wire
/** Largest frame of a wire message other than a blob's range. */
export const MAX_FRAME_BYTES = 2 * MIB
/** Most records in one page of a sync answer. */
export const MAX_SYNC_RECORDS = 1000
/** Most publishers that one sync message names: 400 KiB. */
export const MAX_SYNC_PUBLISHERS = 10_000
/** Most items of a set in one sync answer: 115 KiB. */
export const MAX_SYNC_ITEMS = 1000
/** Most ranges of a set in one sync message: the answer to 256 has 24 KiB. */
export const MAX_SYNC_RANGES = 256
/** Most items of a range that an asker names one by one: more are compared by parts of the range. */
export const MAX_RANGE_MARKS = 16
/** Most logs that one sync request asks for. */
export const MAX_SYNC_LOGS = 256
/** Most nodes whose holdings one sync request asks for. */
export const MAX_SYNC_HOLDINGS = 256
/** Most identity operations in one sync answer, so that a page fits a frame. */
export const MAX_IDENTITY_PAGE = 128
/** Longest name of the program that a peer gives. */
export const MAX_AGENT_CHARS = 64
/** Most peers that one answer names: more than a node dials in a minute. */
export const MAX_EXCHANGED_PEERS = 32
/** Most addresses of one peer that an answer names. */
export const MAX_PEER_ADDRESSES = 8
/** Most addresses at which one request asks to be dialled. */
export const MAX_DIALLED_BACK = 4
/** Most inputs, and most outputs, of one remote inference. */
export const MAX_INFER_TENSORS = 32
/** Largest piece of a body that travels in one frame. */
export const MAX_BODY_FRAME_BYTES = MIB
/** Largest gossip message. */
export const MAX_GOSSIP_BYTES = 64 * KIB
/** Largest body of a remote inference request. */
export const MAX_INFER_BYTES = 256 * MIB
/** Largest result of a remote inference: float32 for each byte of the largest input. */
export const MAX_INFER_RESULT_BYTES = GIB
