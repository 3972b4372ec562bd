/**
 * Where a request runs: here, at a named node, or at the nearest; and requests that other nodes
 * send here. Input leaves this institute only by name or by `on=nearest`, and only to publishers
 * that a rule names.
 */
import type { Cid } from '../protocol/cid.ts'
import { type Code, expectOk, type Issue, ZoariumError } from '../protocol/errors.ts'
import type { ModelRow } from '../registry/catalogue.ts'
import type { Registry } from '../registry/registry.ts'
import {
  type InferAnswer,
  type InferInput,
  type InferOptions,
  MAX_DEADLINE_MS,
} from './http/node-api.ts'
import { MEDIA_TYPES, type OutputFormat } from './inference/image/formats.ts'
import type { Inference } from './inference/inference.ts'
import { LOCAL, type Nearest } from './nearest.ts'
import type { PeerRequest, RemoteResult } from './net/infer.ts'
import type { Network } from './net/network.ts'
import type { Candidate, Route } from './route.ts'
import { isOnDemand, runnableOf, whyForbidden, whyNotRunnable } from './runnable.ts'
import type { Views } from './views.ts'

/** Longest that a request may take where it does not say. */
export const DEFAULT_DEADLINE_MS = 120_000
export const YANKED = 'its publisher yanked this version: look for another one'
/** Nodes tried for one `on=nearest` request. */
export const MAX_ATTEMPTS = 3
/** Failures of the node rather than of the request: the next node may do better. */
const NODE_FAILURES: ReadonlySet<Code> = new Set([
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
])

export interface InferringOptions {
  readonly registry: Registry
  readonly network: Pick<Network, 'peerId' | 'peers' | 'infer'>
  readonly inference: Pick<Inference, 'run'>
  readonly nearest: Nearest
  readonly views: Views
  /** Fetches a model's files, as {@link Mirror.fetch}. */
  readonly fetch: (model: ModelRow, signal: AbortSignal) => Promise<unknown>
}

/** What is to be run. */
interface Request {
  readonly model: ModelRow
  readonly inputs: readonly InferInput[]
  readonly options: InferOptions
  readonly signal: AbortSignal
}

export class Inferring {
  readonly #options: InferringOptions

  constructor(options: InferringOptions) {
    this.#options = options
  }

  /**
   * Runs a model where `options.on` says.
   * @throws ZoariumError TRUST, RECALLED, BLOB_MISSING, MODEL_UNSUPPORTED (here), NO_ROUTE,
   * NOT_FOUND, AMBIGUOUS (elsewhere), and what the run itself throws
   */
  async infer(
    model: ModelRow,
    inputs: readonly InferInput[],
    options: InferOptions,
    signal: AbortSignal,
  ): Promise<InferAnswer> {
    const request = { model, inputs, options, signal }
    if (options.on === LOCAL) {
      await this.#bring(request)
      this.#requireHere(request)
      return this.#local(request)
    }
    const forbidden = whyForbidden(this.#options.registry, model)
    if (forbidden !== null) throw ZoariumError.of(forbidden)
    const isMeant = options.on === 'nearest' ? null : this.#named(options.on)
    const routes = this.#options.nearest.routes(model, sizeOf(inputs))
    return isMeant === null
      ? this.#atNearest(request, routes)
      : this.#atNamed(
          request,
          routes.filter(({ candidate }) => isMeant(candidate)),
        )
  }

  /**
   * Runs a request of another node. The network has checked that its publisher is listed here.
   * @throws ZoariumError; its code crosses the wire
   */
  async serve(request: PeerRequest): Promise<RemoteResult> {
    const { record, inputs, output, accept, deadlineMs, signal } = request
    const model = expectOk(this.#options.registry.resolve(record))
    const options = { on: LOCAL, output: outputOf(output), accept, deadlineMs }
    return this.#local({ model, inputs, options, signal })
  }

  async #atNearest(request: Request, routes: readonly Route[]): Promise<InferAnswer> {
    const eligible = routes.filter(({ cost }) => cost !== null).slice(0, MAX_ATTEMPTS)
    const end = performance.now() + deadlineOf(request.options)
    const tried: string[] = []
    const issues: Issue[] = []
    for (const { candidate } of eligible) {
      const deadlineMs = Math.ceil(end - performance.now())
      if (deadlineMs <= 0) break
      const { node } = candidate
      tried.push(node)
      try {
        const options = { ...request.options, deadlineMs }
        return { ...(await this.#at(node, { ...request, options })), tried }
      } catch (error) {
        const mayRetry = error instanceof ZoariumError && NODE_FAILURES.has(error.code)
        if (!mayRetry || request.signal.aborted) throw error
        const { issues: _, ...detail } = error.data
        issues.push({ code: error.code, message: error.message, ...detail, field: node })
      }
    }
    const last = issues.at(-1)
    if (last !== undefined) throw new ZoariumError(last.code, last.message, { issues })
    throw new ZoariumError('NO_ROUTE', 'no node that may and can run it is reachable', {
      issues: routes.map(({ candidate }) => ({
        code: 'NO_ROUTE',
        field: candidate.node,
        message: candidate.excluded ?? 'eligible',
      })),
    })
  }

  /** A named node is never replaced by another; of a publisher's nodes, the best is taken. */
  async #atNamed(request: Request, routes: readonly Route[]): Promise<InferAnswer> {
    const [best] = routes
    // Why it does not run here, this node says in detail.
    const mayAsk = best !== undefined && (best.cost !== null || best.candidate.node === LOCAL)
    if (mayAsk) return this.#at(best.candidate.node, request)
    throw new ZoariumError('NO_ROUTE', `${request.options.on} may not or cannot run it`, {
      got: best?.candidate.excluded ?? 'no node of that publisher is known',
    })
  }

  #at(node: string, request: Request): Promise<InferAnswer> {
    return node === LOCAL ? this.#local(request) : this.#remote(node, request)
  }

  async #local({ model, inputs, options, signal }: Request): Promise<InferAnswer> {
    const { registry, inference } = this.#options
    const { output, accept } = options
    try {
      registry.opens(model.record)
      const result = await inference.run(
        runnableOf(registry, model),
        new Map(inputs.map(({ name, bytes, mediaType }) => [name, { bytes, mediaType }])),
        { output, accept, deadlineMs: deadlineOf(options), signal },
      )
      const notes = [...noticesOf(model), ...result.notes]
      return { ...result, notes, timings: { ...result.timings }, node: LOCAL, tried: [LOCAL] }
    } catch (error) {
      // It may have been taken back while it ran.
      const now = registry.catalogue.model(model.record)
      const forbidden = now === null || signal.aborted ? null : whyForbidden(registry, now)
      throw forbidden === null ? error : ZoariumError.of(forbidden)
    }
  }

  async #remote(peer: string, { model, inputs, options, signal }: Request): Promise<InferAnswer> {
    const { network, nearest } = this.#options
    const { output, accept } = options
    const deadlineMs = deadlineOf(options)
    const { body, mediaType, outputs, timings, notes, uploadMs } = await network.infer(
      peer,
      { record: model.record, output, accept, deadlineMs, inputs },
      signal,
    )
    nearest.measured(peer, sizeOf(inputs), uploadMs)
    // The other node may not have learned of the withdrawal yet.
    const all = [...new Set([...noticesOf(model), ...notes])]
    return { body, mediaType, outputs, timings, notes: all, node: peer, tried: [peer] }
  }

  /** `run` without `--on` is here or nowhere; the error says where else. */
  /** Fetches a model that may run here and comes on demand. */
  async #bring({ model, options, signal }: Request): Promise<void> {
    const { registry, fetch } = this.#options
    const isMissing = whyNotRunnable(registry, model)?.code === 'BLOB_MISSING'
    if (!isMissing || !isOnDemand(registry, model)) return
    await fetch(model, AbortSignal.any([signal, AbortSignal.timeout(deadlineOf(options))]))
  }

  #requireHere({ model, inputs }: Request): void {
    const { registry, nearest, views } = this.#options
    const failure = whyNotRunnable(registry, model)
    if (failure === null) return
    const elsewhere = nearest
      .routes(model, sizeOf(inputs))
      .filter(({ cost, candidate }) => cost !== null && candidate.node !== LOCAL)
      .map(({ candidate: { node, publisher } }) =>
        publisher === null ? node : views.nameOf(publisher),
      )
    const names = [...new Set(elsewhere)].join(', ')
    const hint =
      names !== ''
        ? `nearest nodes that can: ${names}; to send the image there: --on nearest`
        : failure.hint
    throw ZoariumError.of({
      ...failure,
      got: views.ref(model),
      ...(hint === undefined ? {} : { hint }),
    })
  }

  /** Nodes that a request names by PeerId, label, petname or publisher id. */
  #named(name: string): (candidate: Candidate) => boolean {
    const { network, registry } = this.#options
    if (name === network.peerId) return ({ node }) => node === LOCAL
    if (network.peers().some(({ peer }) => peer === name)) return ({ node }) => node === name
    const named: Cid = expectOk(registry.resolvePublisher(name))
    return ({ publisher }) => publisher === named
  }
}

/** What a user should know of a model that runs all the same. */
const noticesOf = ({ withdrawn }: ModelRow): readonly string[] =>
  withdrawn === 'yank' ? [YANKED] : []

const sizeOf = (inputs: readonly InferInput[]): number =>
  inputs.reduce((sum, { bytes }) => sum + bytes.length, 0)

const deadlineOf = ({ deadlineMs }: InferOptions): number =>
  Math.min(deadlineMs ?? DEFAULT_DEADLINE_MS, MAX_DEADLINE_MS)

/** A format that another node asked for. @throws ZoariumError FORMAT */
function outputOf(text: string | null): OutputFormat | null {
  if (text === null) return null
  const formats = Object.keys(MEDIA_TYPES) as OutputFormat[]
  const format = formats.find((each) => each === text)
  if (format !== undefined) return format
  throw new ZoariumError('FORMAT', 'an unknown output format', {
    got: text.slice(0, 80),
    limit: formats.join(', '),
  })
}
