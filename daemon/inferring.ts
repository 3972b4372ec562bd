/**
 * Where a request runs: here, at a named node, or at the nearest; and requests that other nodes
 * send here. Input leaves this institute only by name or by `on=nearest`, and only to publishers
 * that a rule names.
 */
import { type Code, expectOk, ZoariumError } from '../protocol/errors.ts'
import type { ModelRow } from '../registry/catalogue.ts'
import type { Registry } from '../registry/registry.ts'
import type { InferAnswer, InferInput, InferOptions } from './http/node-api.ts'
import type { Inference } from './inference/inference.ts'
import { LOCAL, type Nearest } from './nearest.ts'
import type { PeerRequest, RemoteResult } from './net/infer.ts'
import type { Network } from './net/network.ts'
import { runnableOf, whyForbidden, whyNotRunnable } from './runnable.ts'
import type { Views } from './views.ts'

/** Longest that a request may take where it does not say. */
export const DEFAULT_DEADLINE_MS = 120_000
export const MAX_DEADLINE_MS = 600_000
/** Nodes tried for one `on=nearest` request. */
export const MAX_ATTEMPTS = 3
/** Failures of the node rather than of the request: the next node may do better. */
const NODE_FAILURES: ReadonlySet<Code> = new Set([
  'PEER',
  'UNREACHABLE',
  'BUSY',
  'BLOB_MISSING',
  'NOT_RUNNABLE',
  'TRUST',
  'BINDING_INVALID',
  'MODEL_QUARANTINED',
  'MODEL_MEMORY',
])

export interface InferringOptions {
  readonly registry: Registry
  readonly network: Network
  readonly inference: Inference
  readonly nearest: Nearest
  readonly views: Views
}

export class Inferring {
  readonly #options: InferringOptions

  constructor(options: InferringOptions) {
    this.#options = options
  }

  /** @throws ZoariumError of trust, routing, input or model */
  async infer(
    model: ModelRow,
    inputs: readonly InferInput[],
    options: InferOptions,
    signal: AbortSignal,
  ): Promise<InferAnswer> {
    if (options.on === LOCAL) {
      this.#assertHere(model, inputs)
      return this.#local(model, inputs, options, signal)
    }
    const bytes = sizeOf(inputs)
    if (options.on !== 'nearest') {
      const peer = this.#named(options.on)
      if (peer === LOCAL) return this.#local(model, inputs, options, signal)
      const route = this.#options.nearest
        .routes(model, bytes)
        .find(({ candidate }) => candidate.node === peer)
      if (route === undefined || route.candidate.excluded !== null) {
        throw new ZoariumError('NO_ROUTE', `${options.on} may not or cannot run it`, {
          got: route?.candidate.excluded ?? 'no such peer',
        })
      }
      return this.#remote(peer, model, inputs, options, signal)
    }
    const forbidden = whyForbidden(this.#options.registry, model)
    if (forbidden !== null) throw ZoariumError.of(forbidden)
    return this.#nearest(model, inputs, options, signal)
  }

  /** Runs here. @throws ZoariumError */
  async #local(
    model: ModelRow,
    inputs: readonly InferInput[],
    options: InferOptions,
    signal: AbortSignal,
  ): Promise<InferAnswer> {
    const { registry, inference } = this.#options
    const result = await inference.run(
      runnableOf(registry, model),
      new Map(inputs.map(({ name, bytes, mediaType }) => [name, { bytes, mediaType }])),
      {
        output: options.output,
        accept: options.accept,
        deadlineMs: deadlineOf(options),
        signal,
      },
    )
    return { ...result, timings: { ...result.timings }, node: LOCAL, tried: [LOCAL] }
  }

  /**
   * Runs a request of another node. The network has checked that its publisher is listed here.
   * @throws ZoariumError; its code crosses the wire
   */
  async serve(request: PeerRequest): Promise<RemoteResult> {
    const { record, inputs, output, accept, deadlineMs, signal } = request
    const model = expectOk(this.#options.registry.resolve(record))
    const options = { on: LOCAL, output: outputOf(output), accept, deadlineMs }
    return this.#local(model, inputs, options, signal)
  }

  async #nearest(
    model: ModelRow,
    inputs: readonly InferInput[],
    options: InferOptions,
    signal: AbortSignal,
  ): Promise<InferAnswer> {
    const routes = this.#options.nearest.routes(model, sizeOf(inputs))
    const eligible = routes.filter(({ cost }) => cost !== null).slice(0, MAX_ATTEMPTS)
    const tried: string[] = []
    let last: unknown = null
    for (const { candidate } of eligible) {
      tried.push(candidate.node)
      try {
        const answer =
          candidate.node === LOCAL
            ? await this.#local(model, inputs, options, signal)
            : await this.#remote(candidate.node, model, inputs, options, signal)
        return { ...answer, tried }
      } catch (error) {
        const mayRetry = error instanceof ZoariumError && NODE_FAILURES.has(error.code)
        if (!mayRetry || signal.aborted) throw error
        last = error
      }
    }
    if (last !== null) throw last
    throw new ZoariumError('NO_ROUTE', 'no node that may and can run it is reachable', {
      issues: routes.map(({ candidate }) => ({
        code: 'NO_ROUTE',
        field: candidate.node,
        message: candidate.excluded ?? 'eligible',
      })),
    })
  }

  async #remote(
    peer: string,
    model: ModelRow,
    inputs: readonly InferInput[],
    options: InferOptions,
    signal: AbortSignal,
  ): Promise<InferAnswer> {
    const { network, nearest } = this.#options
    const answer = await network.infer(
      peer,
      {
        record: model.record,
        output: options.output,
        accept: options.accept,
        deadlineMs: deadlineOf(options),
        inputs,
      },
      signal,
    )
    nearest.measured(peer, sizeOf(inputs), answer.uploadMs)
    return { ...answer, node: peer, tried: [peer] }
  }

  /** `run` without `--on` is here or nowhere; the error says where else. */
  #assertHere(model: ModelRow, inputs: readonly InferInput[]): void {
    const { registry, nearest, views } = this.#options
    const failure = whyNotRunnable(registry, model)
    if (failure === null) return
    const elsewhere = nearest
      .views(model, sizeOf(inputs))
      .filter(({ eligible, node }) => eligible && node !== LOCAL)
      .map(({ publisher, node }) => publisher?.label ?? node)
    const hint =
      elsewhere.length > 0
        ? `nearest nodes that can: ${elsewhere.join(', ')}; to send the image there: --on nearest`
        : failure.hint
    throw new ZoariumError(failure.code, failure.message, {
      ...(failure.field === undefined ? {} : { field: failure.field }),
      ...(hint === undefined ? {} : { hint }),
      got: views.ref(model),
    })
  }

  /** PeerId of a node that the request names by PeerId, label, petname or publisher id. */
  #named(name: string): string {
    const { network, registry } = this.#options
    if (name === network.peerId) return LOCAL
    const peers = network.peers()
    if (peers.some(({ peer }) => peer === name)) return name
    const publisher = registry.resolvePublisher(name)
    if (!publisher.ok) throw ZoariumError.of(publisher)
    if (publisher.value === registry.publisher) return LOCAL
    const peer = peers.find((entry) => entry.connected && entry.publisher === publisher.value)
    if (peer === undefined) {
      throw new ZoariumError('UNREACHABLE', 'no node of that publisher is connected', { got: name })
    }
    return peer.peer
  }
}

const sizeOf = (inputs: readonly InferInput[]): number =>
  inputs.reduce((sum, { bytes }) => sum + bytes.length, 0)

const deadlineOf = (options: InferOptions): number =>
  Math.min(options.deadlineMs ?? DEFAULT_DEADLINE_MS, MAX_DEADLINE_MS)

const OUTPUTS = ['png', 'tiff', 'npy', 'zip'] as const

/** A format that another node asked for. @throws ZoariumError FORMAT */
function outputOf(text: string | null): InferOptions['output'] {
  const format = OUTPUTS.find((each) => each === text) ?? null
  if (text !== null && format === null) {
    throw new ZoariumError('FORMAT', 'an unknown output format', { limit: OUTPUTS.join(', ') })
  }
  return format
}
