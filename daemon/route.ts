/**
 * Nearest: the node that will finish first. Pure; nearest.ts gathers the candidates.
 *
 *   total = upload + round trip + queue + cold start + compute
 *
 * Each term comes from a measurement where there is one and from a stated default where there is
 * none yet, so that an unknown node is neither preferred nor shut out.
 */
import type { CostView } from '../protocol/api.ts'
import type { Cid } from '../protocol/cid.ts'

/** Upload throughput before the first measurement: an ordinary 100 Mbit/s line. */
export const DEFAULT_BYTES_PER_MS = 12_500
/** Round trip before the first ping: the far side of a continent. */
export const DEFAULT_RTT_MS = 40
/** Compute before the first run: a small U-Net on two cores takes 450 ms a megapixel. */
export const DEFAULT_US_PER_MEGAPIXEL = 450_000
/** Loading weights into a fresh process, measured 80 to 190 ms for 8 to 31 MB. */
export const COLD_START_MS = 150
/** Share of a new sample in a moving average. */
export const EWMA_WEIGHT = 0.3

/** The facts about one node that bear on one request. */
export interface Candidate {
  /** PeerId, or `local`. */
  readonly node: string
  /** Whose node it is, where it has shown that. */
  readonly publisher: Cid | null
  /** Why it may not or cannot take the request; null: it can. */
  readonly excluded: string | null
  /** Measured upload throughput, bytes per millisecond; Infinity for this node. */
  readonly bytesPerMs: number | null
  readonly rttMs: number | null
  /** Requests before this one. */
  readonly queue: number
  /** Whether the model's session is open. */
  readonly warm: boolean
  /** Measured for this model there, microseconds per megapixel. */
  readonly usPerMegapixel: number | null
}

export interface Route {
  readonly candidate: Candidate
  /** Null where it is excluded. */
  readonly cost: CostView | null
}

/**
 * Predicts one node's cost.
 * @param bytes size of the upload
 * @param megapixels size of the image
 * @param elsewhere the model's median speed at other nodes, used where this one has none
 */
export function costOf(
  candidate: Candidate,
  bytes: number,
  megapixels: number,
  elsewhere: number | null,
): CostView {
  const speed = candidate.usPerMegapixel ?? elsewhere ?? DEFAULT_US_PER_MEGAPIXEL
  const computeMs = (speed * megapixels) / 1000
  const uploadMs = bytes / (candidate.bytesPerMs ?? DEFAULT_BYTES_PER_MS)
  const rttMs = candidate.rttMs ?? DEFAULT_RTT_MS
  // Requests ahead are taken to be like this one: their images are not known here.
  const queueMs = candidate.queue * computeMs
  const coldMs = candidate.warm ? 0 : COLD_START_MS
  return {
    uploadMs,
    rttMs,
    queueMs,
    coldMs,
    computeMs,
    totalMs: uploadMs + rttMs + queueMs + coldMs + computeMs,
  }
}

/** All candidates, the eligible ones first, by predicted completion; ties by node id. */
export function rank(
  candidates: readonly Candidate[],
  bytes: number,
  megapixels: number,
): readonly Route[] {
  const speeds = candidates
    .flatMap((candidate) => candidate.usPerMegapixel ?? [])
    .sort((a, b) => a - b)
  const elsewhere = speeds[speeds.length >> 1] ?? null
  return candidates
    .map((candidate) => ({
      candidate,
      cost: candidate.excluded === null ? costOf(candidate, bytes, megapixels, elsewhere) : null,
    }))
    .sort(
      (a, b) =>
        (a.cost?.totalMs ?? Number.POSITIVE_INFINITY) -
          (b.cost?.totalMs ?? Number.POSITIVE_INFINITY) ||
        (a.candidate.node < b.candidate.node ? -1 : 1),
    )
}

/** The moving average after one more sample. */
export const ewma = (average: number | null, sample: number): number =>
  average === null ? sample : average + EWMA_WEIGHT * (sample - average)
