/**
 * The routes as an OpenAPI 3.1 document. A test walks the router and fails where a route is missing
 * here or the other way round.
 */
import { DTYPES, WEIGHT_FORMATS } from '../../protocol/model-description.ts'
import { MAX_DEADLINE_MS } from './node-api.ts'
import { schemas } from './openapi-schemas.ts'

type Json = Readonly<Record<string, unknown>>

const schemaRef = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })
const json = (name: string): Json => ({ 'application/json': { schema: schemaRef(name) } })
const ok = (description: string, content: Json): Json => ({ 200: { description, content } })
const body = (content: Json): Json => ({ required: true, content })

/** Every route may answer with an error in the one form. */
const withErrors = (responses: Json): Json => ({
  ...responses,
  default: { description: 'An error; docs/http-api.md lists the codes.', content: json('Error') },
})

interface Operation {
  readonly summary: string
  /** The scope that a token needs; null: none at all. */
  readonly scope: 'read' | 'infer' | 'publish' | 'admin' | null
  readonly parameters?: readonly Json[]
  readonly requestBody?: Json
  readonly responses: Json
}

const operation = ({ scope, responses, ...rest }: Operation): Json => ({
  ...rest,
  security: scope === null ? [] : [{ token: [scope] }],
  responses: withErrors(responses),
})

const query = (name: string, schema: Json, description: string, required = false): Json => ({
  name,
  in: 'query',
  required,
  description,
  schema,
})
const inPath = (name: string, description: string): Json => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: { type: 'string' },
})

const text: Json = { type: 'string' }
const truth: Json = { type: 'boolean' }
const oneOf = (...values: readonly string[]): Json => ({ type: 'string', enum: values })
const integer = (minimum: number, maximum: number): Json => ({ type: 'integer', minimum, maximum })

const MODEL = [
  inPath('publisher', 'Id, verified handle, label or petname of the publisher.'),
  inPath('name', 'Name of the model, alone (latest), with `@version` or with `@tag`.'),
]
const RECORD = [inPath('cid', 'Content id of the record.')]
const FILE = inPath('path', 'Path of a file in the model; may contain `/`.')

const ROSTER = [
  inPath('publisher', 'Id, verified handle, label or petname of the issuer.'),
  inPath('name', 'Name of the roster.'),
]
const CAR: Json = {
  'application/vnd.ipld.car': {
    schema: { type: 'string', contentMediaType: 'application/vnd.ipld.car' },
  },
}
const BYTES: Json = {
  'application/octet-stream': {
    schema: { type: 'string', contentMediaType: 'application/octet-stream' },
  },
}
const sendFile = (parameters: readonly Json[], more: Json = {}): Json =>
  operation({
    summary: 'A file of a model, whole or a byte range; the content id is its ETag',
    scope: 'read',
    parameters: [
      ...parameters,
      {
        name: 'Range',
        in: 'header',
        required: false,
        schema: text,
        description: 'One byte range.',
      },
    ],
    responses: {
      200: { description: 'The file.', content: BYTES },
      206: { description: 'The range.', content: BYTES },
      304: { description: 'The file that the client has.' },
      416: { description: 'The range lies outside the file.', content: json('Error') },
      ...more,
    },
  })

const INPUTS: Json = {
  ...Object.fromEntries(
    ['image/*', 'application/octet-stream', 'application/x-npy'].map((type) => [type, {}]),
  ),
  'multipart/form-data': {
    schema: {
      type: 'object',
      description: 'One file for each input; the name of the part is the tensor id.',
      additionalProperties: { type: 'string', contentMediaType: 'application/octet-stream' },
    },
  },
}
const header = (description: string): Json => ({ description, schema: text })
const infer = (parameters: readonly Json[]): Json =>
  operation({
    summary: 'Run a model on an image',
    scope: 'infer',
    parameters: [
      ...parameters,
      query('on', text, '`local` (default), `nearest`, or a PeerId, publisher id or label.'),
      query('output', oneOf('png', 'tiff', 'npy', 'zip'), 'Else by Accept, else as the input.'),
      query('deadlineMs', integer(1, MAX_DEADLINE_MS), 'Milliseconds until the run is given up.'),
    ],
    requestBody: body(INPUTS),
    responses: {
      200: {
        description: 'The result.',
        headers: {
          'Server-Timing': header('Milliseconds of each stage.'),
          'Zoarium-Node': header('Where it ran: `local` or a PeerId.'),
          'Zoarium-Tried': header('All nodes tried, in order.'),
          'Zoarium-Outputs': header('JSON: id, axes, shape and dtype of each output.'),
          'Zoarium-Notes': header('JSON: what was done to the input, in words.'),
        },
        content: { 'image/*': {}, 'application/x-npy': {}, 'application/zip': {} },
      },
    },
  })

const paths: Readonly<Record<string, Json>> = {
  '/healthz': {
    get: operation({
      summary: 'Whether the daemon runs',
      scope: null,
      responses: ok('It does.', json('Health')),
    }),
  },
  '/.well-known/zoarium.json': {
    get: operation({
      summary: 'The publisher that the handle of this node stands for',
      scope: null,
      responses: ok('The document.', json('Handle')),
    }),
  },
  '/readyz': {
    get: operation({
      summary: 'Whether the node can serve',
      scope: 'read',
      responses: {
        ...ok('It can.', json('Readiness')),
        503: { description: 'Not yet; why.', content: json('Readiness') },
      },
    }),
  },
  '/metrics': {
    get: operation({
      summary: 'Metrics for Prometheus',
      scope: 'read',
      responses: ok('The metrics.', { 'text/plain': { schema: text } }),
    }),
  },
  '/v1/openapi.json': {
    get: operation({
      summary: 'This document',
      scope: 'read',
      responses: ok('OpenAPI 3.1.', { 'application/json': { schema: { type: 'object' } } }),
    }),
  },
  '/v1/node': {
    get: operation({
      summary: 'This node: identity, addresses, logs, engine',
      scope: 'read',
      responses: ok('The node.', json('Node')),
    }),
  },
  '/v1/keys': {
    get: operation({
      summary: 'The own root keys and device keys, without private ones',
      scope: 'admin',
      responses: ok('The keys.', json('Keys')),
    }),
  },
  '/v1/peers': {
    get: operation({
      summary: 'Other nodes seen from here',
      scope: 'read',
      responses: ok('The peers.', json('Peers')),
    }),
    post: operation({
      summary: 'Connect to a node and keep its address',
      scope: 'admin',
      requestBody: body(json('PeerAddress')),
      responses: ok('The peer.', json('Peer')),
    }),
  },
  '/v1/sync': {
    post: operation({
      summary: 'Compare logs with one peer or all, and take in what is new',
      scope: 'admin',
      requestBody: body(json('SyncRequest')),
      responses: ok('One item for each peer.', json('Syncs')),
    }),
  },
  '/v1/events': {
    get: operation({
      summary: 'What happens here, as server-sent events',
      scope: 'read',
      responses: ok('A stream; the data of each event are JSON.', {
        'text/event-stream': { schema: schemaRef('Event') },
      }),
    }),
  },
  '/v1/resolve': {
    get: operation({
      summary: 'The record that a reference stands for now',
      scope: 'read',
      parameters: [query('ref', text, 'Any reference: name, content id, DOI, old nickname.', true)],
      responses: ok('The record.', json('Resolved')),
    }),
  },
  '/v1/models': {
    get: operation({
      summary: 'Search the models that this node lists',
      scope: 'read',
      parameters: [
        query('q', text, 'Words; ranked full text.'),
        query('axes', { type: 'string', pattern: '^[xyz]{1,3}$' }, 'Spatial axes of an input.'),
        query('channels', integer(1, 1_000_000), 'Channels of an input.'),
        query('dtype', oneOf(...DTYPES), 'Data type of an input.'),
        query('tag', text, 'A tag of the card.'),
        query('license', text, 'An SPDX id.'),
        query('publisher', text, 'Id, label or petname.'),
        query('sort', oneOf('relevance', 'newest', 'name'), 'Order.'),
        query('limit', integer(1, 100), 'Items of a page, default 20.'),
        query('cursor', text, '`next` of the page before.'),
      ],
      responses: ok('A page.', json('ModelPage')),
    }),
  },
  '/v1/models/{publisher}/{name}': {
    get: operation({
      summary: 'A model version',
      scope: 'read',
      parameters: MODEL,
      responses: ok('The model.', json('Model')),
    }),
  },
  '/v1/models/{publisher}/{name}/files/{path}': { get: sendFile([...MODEL, FILE]) },
  '/v1/models/{publisher}/{name}/infer': { post: infer(MODEL) },
  '/v1/records/{cid}': {
    get: operation({
      summary: 'A record as JSON, or its signed bytes',
      scope: 'read',
      parameters: [
        ...RECORD,
        query('format', oneOf('json', 'envelope'), 'Default by Accept, else json.'),
      ],
      responses: ok('The record.', {
        'application/json': {
          schema: { oneOf: [schemaRef('ModelRecord'), schemaRef('OtherRecord')] },
        },
        'application/vnd.zoarium.record': {
          schema: { type: 'string', contentMediaType: 'application/vnd.zoarium.record' },
        },
      }),
    }),
  },
  '/v1/records/{cid}/files/{path}': { get: sendFile([...RECORD, FILE]) },
  '/v1/blobs/{cid}': {
    get: sendFile(
      [
        inPath('cid', 'Content id of the file.'),
        query('insist', truth, 'Of a node with a ticket: false to be told who else has the leaf.'),
      ],
      {
        409: {
          description:
            'The leaf was given to other nodes lately: `got` has a bit for each such leaf.',
          content: json('Error'),
        },
      },
    ),
  },
  '/v1/records/{cid}/infer': { post: infer(RECORD) },
  '/v1/identities/{publisher}': {
    get: operation({
      summary: "A publisher's chain of identity operations",
      scope: 'read',
      parameters: [inPath('publisher', 'Id, label or petname of the publisher.')],
      responses: ok('The chain.', json('Identity')),
    }),
  },
  '/v1/publish': {
    post: operation({
      summary: 'Publish a model version from a zip of its package',
      scope: 'publish',
      parameters: [
        query('name', text, 'Default: from the card.'),
        query('version', text, 'Default: from the card.'),
        query('weights', text, `Keep only these, comma-separated: ${WEIGHT_FORMATS.join(', ')}.`),
        query('dryRun', truth, 'Check everything, sign nothing.'),
        query('untested', truth, "Skip the card's own test."),
        query('private', truth, 'For the audience of the private log alone.'),
      ],
      requestBody: body({
        'application/zip': { schema: { type: 'string', contentMediaType: 'application/zip' } },
      }),
      responses: ok('What was published.', json('Publication')),
    }),
  },
  '/v1/withdraw': {
    post: operation({
      summary: 'Take back an own model: yank, recall or erase it; or restore one that was erased',
      scope: 'publish',
      requestBody: body(json('WithdrawRequest')),
      responses: ok('The signed statement.', json('Statement')),
    }),
  },
  '/v1/erasures': {
    get: operation({
      summary: 'Models that are erased here, and when their bytes go',
      scope: 'read',
      responses: ok('The erasures.', json('Erasures')),
    }),
    post: operation({
      summary: 'Erase a model of anybody on this node, at once',
      scope: 'admin',
      requestBody: body(json('ErasureRequest')),
      responses: ok('What was deleted.', json('Collected')),
    }),
  },
  '/v1/erasures/{ref}': {
    delete: operation({
      summary: "Take back this node's own erasure of a model",
      scope: 'admin',
      parameters: [inPath('ref', 'Any reference, percent-encoded.')],
      responses: ok('The erasures that are left.', json('Erasures')),
    }),
  },
  '/v1/export': {
    get: operation({
      summary: 'Models as a CAR file, with all that proves them',
      scope: 'read',
      parameters: [query('ref', text, 'The models, separated by commas.', true)],
      responses: ok('The file, as it is made.', CAR),
    }),
  },
  '/v1/import': {
    post: operation({
      summary: 'Take in a CAR file of models',
      scope: 'admin',
      requestBody: { required: true, content: CAR },
      responses: ok('What is here now.', json('Import')),
    }),
  },
  '/v1/doctor': {
    post: operation({
      summary: 'Find out what works, as members see it too: they are asked to connect back',
      scope: 'admin',
      requestBody: body(json('Nothing')),
      responses: ok('What was found, and what to change.', json('Doctor')),
    }),
  },
  '/v1/gc': {
    post: operation({
      summary: 'Delete files that no model has named for a day, or at once',
      scope: 'admin',
      requestBody: body(json('GarbageRequest')),
      responses: ok('What was deleted, and what waits.', json('Garbage')),
    }),
  },
  '/v1/attest': {
    post: operation({
      summary: "State something of a model: that the card's own test was reproduced here, or words",
      scope: 'publish',
      requestBody: body(json('AttestRequest')),
      responses: ok('The signed statement.', json('Statement')),
    }),
  },
  '/v1/tags': {
    post: operation({
      summary: 'Give a version of an own model a name that can move on',
      scope: 'publish',
      requestBody: body(json('TagRequest')),
      responses: ok('The signed statement.', json('Statement')),
    }),
  },
  '/v1/profile': {
    get: operation({
      summary: 'What the publisher of this node says of itself',
      scope: 'read',
      responses: ok('The profile.', json('Profile')),
    }),
    put: operation({
      summary: 'Sign another profile; the host of its handle is asked at once',
      scope: 'publish',
      requestBody: body(json('ProfileChange')),
      responses: ok('The profile that stands now.', json('Profile')),
    }),
  },
  '/v1/pull': {
    post: operation({
      summary: 'Fetch the files of a model to this node',
      scope: 'admin',
      requestBody: body(json('PullRequest')),
      responses: ok('What was fetched.', json('Pull')),
    }),
  },
  '/v1/route': {
    get: operation({
      summary: 'Where a model would run, and why there',
      scope: 'read',
      parameters: [
        query('model', text, 'Any reference.', true),
        query('bytes', integer(0, 2 ** 40), 'Size of the input, default 0.'),
      ],
      responses: ok('The first eligible row is taken.', json('Route')),
    }),
  },
  '/v1/trust': {
    get: operation({
      summary: 'Trust rules, and publishers without one',
      scope: 'read',
      responses: ok('The rules.', json('Trust')),
    }),
    post: operation({
      summary: 'Set the rule of a publisher',
      scope: 'admin',
      requestBody: body(json('TrustRule')),
      responses: ok('All rules.', json('Trust')),
    }),
  },
  '/v1/trust/explain': {
    get: operation({
      summary:
        'Which rights a model or publisher has here, which rule decided each, and who attests it',
      scope: 'read',
      parameters: [query('ref', text, 'A model, a publisher, or the id of a record.', true)],
      responses: ok('The rights.', json('TrustExplanation')),
    }),
  },
  '/v1/trust/{publisher}': {
    delete: operation({
      summary: 'Remove the rule of a publisher',
      scope: 'admin',
      parameters: [inPath('publisher', 'Id, label or petname of the publisher.')],
      responses: ok('All rules.', json('Trust')),
    }),
  },
  '/v1/rosters': {
    get: operation({
      summary: 'Rosters that this node issues or follows',
      scope: 'read',
      responses: ok('The rosters.', json('Rosters')),
    }),
    post: operation({
      summary: 'Sign an own roster, the first of its name or with changes',
      scope: 'publish',
      requestBody: body(json('RosterRequest')),
      responses: ok('The roster.', json('Roster')),
    }),
  },
  '/v1/rosters/{name}': {
    delete: operation({
      summary: 'Withdraw an own roster: it has no members from then on',
      scope: 'publish',
      parameters: [inPath('name', 'Name of the roster.')],
      responses: ok('The roster.', json('Roster')),
    }),
  },
  '/v1/rosters/{publisher}/{name}': {
    get: operation({
      summary: 'A roster that this node issues or follows',
      scope: 'read',
      parameters: ROSTER,
      responses: ok('The roster.', json('Roster')),
    }),
  },
  '/v1/rosters/{publisher}/{name}.car': {
    get: operation({
      summary: 'The file by which others join a roster',
      scope: null,
      parameters: ROSTER,
      responses: ok('The file.', CAR),
    }),
  },
  '/v1/join': {
    post: operation({
      summary: 'Follow a roster: give its members rights, and connect to its addresses',
      scope: 'admin',
      parameters: [
        query('ref', text, 'Record or issuer of the roster, where no file is sent.'),
        query('grantRun', truth, 'Let models of its members run, if the roster recommends it.'),
        query('dryRun', truth, 'Check and show everything, change nothing.'),
      ],
      requestBody: { required: false, content: CAR },
      responses: ok('What was joined.', json('Join')),
    }),
  },
  '/v1/leave': {
    post: operation({
      summary: 'Follow a roster no more',
      scope: 'admin',
      requestBody: body(json('LeaveRequest')),
      responses: ok('Who lost what.', json('Leave')),
    }),
  },
  '/v1/pins': {
    get: operation({
      summary: 'Models whose files are kept here, whatever else needs the room',
      scope: 'read',
      responses: ok('The pins.', json('Pins')),
    }),
    post: operation({
      summary: 'Pin a model: its files are fetched and kept',
      scope: 'admin',
      requestBody: body(json('PinRequest')),
      responses: ok('The pins.', json('Pins')),
    }),
  },
  '/v1/pins/{ref}': {
    delete: operation({
      summary: 'Let a model go where its room is needed, as far as no rule keeps it',
      scope: 'admin',
      parameters: [inPath('ref', 'A reference of the model, or the id of its record.')],
      responses: ok('The pins.', json('Pins')),
    }),
  },
  '/v1/tokens': {
    get: operation({
      summary: 'Tokens, without their secrets',
      scope: 'admin',
      responses: ok('The tokens.', json('Tokens')),
    }),
    post: operation({
      summary: 'Make a token; the only time it is shown',
      scope: 'admin',
      requestBody: body(json('TokenRequest')),
      responses: { 201: { description: 'The token.', content: json('NewToken') } },
    }),
  },
  '/v1/tokens/{id}': {
    delete: operation({
      summary: 'Revoke a token',
      scope: 'admin',
      parameters: [inPath('id', 'Id of the token.')],
      responses: { 204: { description: 'Revoked.' } },
    }),
  },
}

export const openApi = {
  openapi: '3.1.0',
  info: {
    title: 'Zoarium',
    version: 'v1',
    description: 'One node of a federated model zoo. docs/http-api.md has examples.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/' }],
  paths,
  components: {
    securitySchemes: {
      token: {
        type: 'http',
        scheme: 'bearer',
        description: 'On loopback `read` and `infer` need no token.',
      },
    },
    schemas,
  },
} as const
