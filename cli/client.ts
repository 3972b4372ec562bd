/** The daemon's routes as functions. Errors of the daemon come out as they went in. */
import type { IncomingMessage } from 'node:http'
import type {
  CollectedView,
  DoctorView,
  ErasureView,
  EventView,
  GarbageView,
  IdentityView,
  ImportView,
  InferView,
  JoinView,
  KeysView,
  LeaveView,
  ModelPageView,
  ModelView,
  NewTokenView,
  NodeView,
  PeerView,
  PinView,
  ProfileChange,
  ProfileView,
  PublishView,
  PullView,
  RecordView,
  ResolveView,
  Right,
  RosterRight,
  RosterView,
  RouteView,
  Scope,
  StatementView,
  SyncView,
  TokenView,
  TrustExplanation,
  TrustView,
} from '../protocol/api.ts'
import type { Claim } from '../protocol/attestation.ts'
import type { Cid } from '../protocol/cid.ts'
import { CODES, type Code, type Detail, ZoariumError } from '../protocol/errors.ts'
import { MAX_ROSTER_CAR_BYTES } from '../protocol/limits.ts'
import type { WithdrawVerb } from '../protocol/record-body.ts'
import { CAR_TYPE } from '../protocol/roster-car.ts'
import { exchange } from './exchange.ts'

/** Largest JSON answer that is read: a page of 100 models has well under 1 MiB. */
const MAX_JSON_BYTES = 64 * 1024 * 1024
/** Largest record with its signature that is read; the protocol's bound is 256 KiB. */
const MAX_ENVELOPE_BYTES = 512 * 1024
/** Largest result of an inference that is read. */
const MAX_RESULT_BYTES = 4 * 1024 ** 3
/** Longest line of an event stream. */
const MAX_EVENT_CHARS = 1024 * 1024

type Query = Readonly<Record<string, string | number | boolean | null | undefined>>

export interface ClientOptions {
  readonly url: URL
  readonly token: string | null
  readonly signal: AbortSignal
}

export interface PublishRequest {
  readonly body: AsyncIterable<Uint8Array>
  readonly size: number
  readonly query: Query
}

export interface JoinQuery {
  readonly grantRun: boolean
  readonly dryRun: boolean
}

export interface InferRequest {
  readonly bytes: Uint8Array
  readonly mediaType: string
  readonly on: string | null
  readonly output: string | null
}

export interface InferResult extends InferView {
  readonly body: Uint8Array
}

export class Client {
  readonly #options: ClientOptions

  constructor(options: ClientOptions) {
    this.#options = options
  }

  node = () => this.#get<NodeView>('/v1/node')
  keys = () => this.#get<KeysView>('/v1/keys')
  peers = async () => (await this.#get<{ items: readonly PeerView[] }>('/v1/peers')).items
  addPeer = (address: string) => this.#post<PeerView>('/v1/peers', { address })
  sync = async (peer: string | null) =>
    (await this.#post<{ items: readonly SyncView[] }>('/v1/sync', { peer })).items

  search = (query: Query) => this.#get<ModelPageView>('/v1/models', query)
  resolve = (ref: string) => this.#get<ResolveView>('/v1/resolve', { ref })
  record = (cid: Cid) => this.#get<ModelView | RecordView>(`/v1/records/${cid}`)
  identity = (publisher: Cid) => this.#get<IdentityView>(`/v1/identities/${publisher}`)
  attest = (statement: { ref: string; claim: Claim; note?: string }) =>
    this.#post<StatementView>('/v1/attest', statement)
  withdraw = (statement: { ref: string; verb: WithdrawVerb; reason: string; note?: string }) =>
    this.#post<StatementView>('/v1/withdraw', statement)
  erasures = async () => (await this.#get<{ items: readonly ErasureView[] }>('/v1/erasures')).items
  eraseHere = (ref: string) => this.#post<CollectedView>('/v1/erasures', { ref })
  restoreHere = (ref: string) =>
    this.#delete<{ items: readonly ErasureView[] }>(`/v1/erasures/${encodeURIComponent(ref)}`)
  doctor = () => this.#post<DoctorView>('/v1/doctor', {})
  collectGarbage = (now: boolean) => this.#post<GarbageView>('/v1/gc', now ? { now } : {})
  tag = (ref: string, tag: string) => this.#post<StatementView>('/v1/tags', { ref, tag })
  profile = () => this.#get<ProfileView>('/v1/profile')
  setProfile = (profile: ProfileChange) => this.#send<ProfileView>('PUT', '/v1/profile', profile)
  pull = (ref: string) => this.#post<PullView>('/v1/pull', { ref })

  trust = () => this.#get<TrustView>('/v1/trust')
  addTrust = (rule: {
    publisher: string
    right: Right
    petname: string | null
    send: boolean | null
  }) => this.#post<TrustView>('/v1/trust', rule)
  removeTrust = (publisher: string) =>
    this.#delete<TrustView>(`/v1/trust/${encodeURIComponent(publisher)}`)
  explainTrust = (ref: string) => this.#get<TrustExplanation>('/v1/trust/explain', { ref })
  route = async (model: string, bytes: number) =>
    (await this.#get<{ items: readonly RouteView[] }>('/v1/route', { model, bytes })).items

  rosters = async () => (await this.#get<{ items: readonly RosterView[] }>('/v1/rosters')).items
  setRoster = (edit: {
    name: string
    add: readonly string[]
    remove: readonly string[]
    right: RosterRight | null
    bootstrap: readonly string[] | null
  }) => this.#post<RosterView>('/v1/rosters', edit)
  withdrawRoster = (name: string) =>
    this.#delete<RosterView>(`/v1/rosters/${encodeURIComponent(name)}`)
  leave = (publisher: Cid, name: string) => this.#post<LeaveView>('/v1/leave', { publisher, name })

  /** The file of a roster. */
  async rosterFile(publisher: Cid, name: string): Promise<Uint8Array> {
    const answer = await this.#request('GET', `/v1/rosters/${publisher}/${name}.car`)
    return readAll(answer, MAX_ROSTER_CAR_BYTES)
  }

  /** @param source the bytes of a roster's file, or the id of its record or issuer */
  async join(source: Uint8Array | string, query: JoinQuery): Promise<JoinView> {
    const options =
      typeof source === 'string'
        ? { query: { ...query, ref: source } }
        : {
            query: { ...query },
            headers: { 'Content-Type': CAR_TYPE, 'Content-Length': source.length },
            body: source,
          }
    return readJson(await this.#request('POST', '/v1/join', options))
  }

  pins = async () => (await this.#get<{ items: readonly PinView[] }>('/v1/pins')).items
  pin = async (ref: string) =>
    (await this.#post<{ items: readonly PinView[] }>('/v1/pins', { ref })).items
  unpin = async (ref: string) =>
    (await this.#delete<{ items: readonly PinView[] }>(`/v1/pins/${encodeURIComponent(ref)}`)).items

  tokens = async () => (await this.#get<{ items: readonly TokenView[] }>('/v1/tokens')).items
  addToken = (token: { label: string; scopes: readonly Scope[]; expiresMs: number | null }) =>
    this.#post<NewTokenView>('/v1/tokens', token)
  revokeToken = async (id: string) => {
    await this.#request('DELETE', `/v1/tokens/${encodeURIComponent(id)}`)
  }

  /** Payload and signature of a record. */
  async envelope(cid: Cid): Promise<Uint8Array> {
    const answer = await this.#request('GET', `/v1/records/${cid}`, {
      query: { format: 'envelope' },
    })
    return readAll(answer, MAX_ENVELOPE_BYTES)
  }

  /** The bytes of a file, as they come. */
  async file(record: Cid, path: string): Promise<AsyncIterable<Uint8Array>> {
    const segments = path.split('/').map(encodeURIComponent).join('/')
    return chunksOf(await this.#request('GET', `/v1/records/${record}/files/${segments}`))
  }

  /** Models as a CAR file, as it comes. */
  async exportModels(records: readonly Cid[]): Promise<AsyncIterable<Uint8Array>> {
    return chunksOf(await this.#request('GET', '/v1/export', { query: { ref: records.join() } }))
  }

  async importModels(body: AsyncIterable<Uint8Array>, size: number): Promise<ImportView> {
    const headers = { 'Content-Type': CAR_TYPE, 'Content-Length': size }
    return readJson(await this.#request('POST', '/v1/import', { headers, body }))
  }

  async publish({ body, size, query }: PublishRequest): Promise<PublishView> {
    const headers = { 'Content-Type': 'application/zip', 'Content-Length': size }
    return readJson(await this.#request('POST', '/v1/publish', { query, headers, body }))
  }

  async infer(record: Cid, request: InferRequest): Promise<InferResult> {
    const { bytes, mediaType, on, output } = request
    const answer = await this.#request('POST', `/v1/records/${record}/infer`, {
      query: { on, output },
      headers: { 'Content-Type': mediaType, 'Content-Length': bytes.length },
      body: bytes,
    })
    const header = (name: string): string => String(answer.headers[name] ?? '')
    return {
      body: await readAll(answer, MAX_RESULT_BYTES),
      mediaType: header('content-type').split(';', 1)[0] ?? '',
      node: header('zoarium-node'),
      tried: header('zoarium-tried')
        .split(', ')
        .filter((node) => node !== ''),
      timings: readTimings(header('server-timing')),
      outputs: JSON.parse(header('zoarium-outputs') || '[]'),
      notes: JSON.parse(header('zoarium-notes') || '[]'),
    }
  }

  /** What happens at the node, until `signal` aborts. */
  async *events(signal: AbortSignal): AsyncGenerator<EventView> {
    const answer = await this.#request('GET', '/v1/events', { signal })
    let rest = ''
    for await (const chunk of answer.setEncoding('utf8')) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > MAX_EVENT_CHARS) throw malformed()
      for (const line of lines) {
        if (line.startsWith('data: ')) yield JSON.parse(line.slice('data: '.length))
      }
    }
  }

  async #get<T>(path: string, query: Query = {}): Promise<T> {
    return readJson(await this.#request('GET', path, { query }))
  }

  #post<T>(path: string, body: object): Promise<T> {
    return this.#send('POST', path, body)
  }

  async #send<T>(method: 'POST' | 'PUT', path: string, body: object): Promise<T> {
    const bytes = Buffer.from(JSON.stringify(body))
    const headers = { 'Content-Type': 'application/json', 'Content-Length': bytes.length }
    return readJson(await this.#request(method, path, { headers, body: bytes }))
  }

  async #delete<T>(path: string): Promise<T> {
    return readJson(await this.#request('DELETE', path))
  }

  /** @throws ZoariumError what the daemon answered, or UNREACHABLE */
  async #request(
    method: string,
    path: string,
    options: {
      readonly query?: Query
      readonly headers?: Readonly<Record<string, string | number>>
      readonly body?: Uint8Array | AsyncIterable<Uint8Array>
      readonly signal?: AbortSignal
    } = {},
  ): Promise<IncomingMessage> {
    const { token, signal } = this.#options
    const url = new URL(path, this.#options.url)
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== null && value !== undefined) url.searchParams.set(name, String(value))
    }
    const answer = await exchange({
      method,
      url,
      headers: {
        ...options.headers,
        ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      },
      ...(options.body === undefined ? {} : { body: options.body }),
      signal: options.signal ?? signal,
    })
    const status = answer.statusCode ?? 500
    if (status >= 400) throw await errorOf(answer, status)
    return answer
  }
}

/** The error that the daemon sent; its code decides the exit status. */
async function errorOf(answer: IncomingMessage, status: number): Promise<ZoariumError> {
  type Sent = { error?: { code?: string; message?: string } & Detail }
  const { error } = await readJson<Sent>(answer).catch((): Sent => ({}))
  const { code = '', message, ...detail } = error ?? {}
  if (!Object.hasOwn(CODES, code) || message === undefined) {
    return new ZoariumError('PEER', message ?? `the daemon answered with status ${status}`, {
      ...detail,
      hint: 'ZOARIUM_URL may name something else, or a daemon of another version',
    })
  }
  // SAFE: checked against the table one statement above.
  return new ZoariumError(code as Code, message, detail)
}

async function readJson<T>(answer: IncomingMessage): Promise<T> {
  const bytes = await readAll(answer, MAX_JSON_BYTES)
  try {
    // SAFE: protocol/api.ts is the daemon's promise; a test holds both against it.
    return JSON.parse(Buffer.from(bytes).toString()) as T
  } catch {
    throw malformed()
  }
}

const malformed = (): ZoariumError =>
  new ZoariumError('PEER', 'the answer is not what a daemon sends', {
    hint: 'ZOARIUM_URL may name something else',
  })

async function readAll(answer: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunksOf(answer)) {
    size += chunk.length
    if (size > maxBytes) {
      answer.destroy()
      throw new ZoariumError('LIMIT', 'the answer is too large', { limit: maxBytes })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function* chunksOf(answer: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of answer) yield chunk
  } catch (error) {
    throw new ZoariumError('UNREACHABLE', 'the connection broke off', {}, error)
  }
}

/** Reads `name;dur=1.5, ...`. */
function readTimings(header: string): Record<string, number> {
  const entries = header.matchAll(/([A-Za-z]+);dur=([0-9.]+)/g)
  return Object.fromEntries([...entries].map(([, name = '', ms]) => [name, Number(ms)]))
}
