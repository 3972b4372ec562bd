/**
 * Frames between the daemon and the process of one model, over a socket pair. Pure.
 *
 *   Frame := length of header (u32, little-endian) | header (JSON) | payload of each tensor
 *
 * The daemon asks, the process answers, one at a time. The daemon does not trust the process: what
 * a model made of it may send anything, so every header is checked and every length is bounded
 * before memory is taken for it.
 */
import { DTYPES, type Dtype } from '../../protocol/model-description.ts'
import type { EngineTensorInfo } from './engine.ts'
import { bytesOf, countOf, elementsOf, type Tensor } from './tensor.ts'

/** Longest header: a thousand tensors of rank 8. */
export const MAX_HEADER_BYTES = 256 * 1024
export const LENGTH_BYTES = 4

export interface WireTensor {
  readonly dtype: Dtype
  readonly shape: readonly number[]
}

export type Request =
  | { readonly type: 'open'; readonly main: string; readonly threads: number }
  | { readonly type: 'run'; readonly tensors: readonly WireTensor[] }

export type Answer =
  | {
      readonly type: 'opened'
      readonly inputs: readonly EngineTensorInfo[]
      readonly outputs: readonly EngineTensorInfo[]
      readonly memoryBytes: number
    }
  | {
      readonly type: 'ran'
      readonly computeMs: number
      readonly memoryBytes: number
      readonly tensors: readonly WireTensor[]
    }
  | { readonly type: 'failed'; readonly message: string }

/** The length and the JSON of a frame; the payloads follow by themselves, uncopied. */
export function encodeHeader(header: Request | Answer): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header))
  const bytes = new Uint8Array(LENGTH_BYTES + json.length)
  new DataView(bytes.buffer).setUint32(0, json.length, true)
  bytes.set(json, LENGTH_BYTES)
  return bytes
}

export const decodeHeader = (json: Uint8Array): unknown =>
  JSON.parse(new TextDecoder().decode(json))

export const lengthOfHeader = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getUint32(0, true)

export const payloadBytes = ({ dtype, shape }: WireTensor): number =>
  countOf(shape) * bytesOf(dtype)

export interface AnswerFrame {
  readonly answer: Answer
  readonly tensors: readonly Tensor[]
}

/** Collects answers from chunks of any size; payloads go straight into their own memory. */
export class AnswerReader {
  readonly #maxPayloadBytes: number
  #header = new Uint8Array(0)
  #answer: Answer | null = null
  #payloads: Uint8Array[] = []
  /** Payload that is being filled, and how far. */
  #index = 0
  #filled = 0

  constructor(maxPayloadBytes: number) {
    this.#maxPayloadBytes = maxPayloadBytes
  }

  /**
   * Takes in a chunk. @returns the answer once it is complete
   * @throws TypeError for what is not a frame, RangeError for payloads over the bound
   */
  push(chunk: Uint8Array): AnswerFrame | null {
    let rest = chunk
    if (this.#answer === null) {
      const taken = this.#takeHeader(rest)
      if (taken === null) return null
      rest = taken
    }
    for (;;) {
      const payload = this.#payloads[this.#index]
      if (payload === undefined) break
      const part = rest.subarray(0, payload.length - this.#filled)
      payload.set(part, this.#filled)
      this.#filled += part.length
      rest = rest.subarray(part.length)
      if (this.#filled < payload.length) return null
      this.#index++
      this.#filled = 0
    }
    if (rest.length > 0) throw new TypeError('bytes follow the answer')
    return this.#finish()
  }

  /** @returns what follows the header, or null while it is incomplete */
  #takeHeader(chunk: Uint8Array): Uint8Array | null {
    const bytes = new Uint8Array(this.#header.length + chunk.length)
    bytes.set(this.#header)
    bytes.set(chunk, this.#header.length)
    this.#header = bytes
    if (bytes.length < LENGTH_BYTES) return null
    const length = lengthOfHeader(bytes)
    if (length > MAX_HEADER_BYTES) throw new RangeError('header over the bound')
    if (bytes.length < LENGTH_BYTES + length) return null
    const answer = readAnswer(decodeHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length)))
    const sizes = answer.type === 'ran' ? answer.tensors.map(payloadBytes) : []
    const total = sizes.reduce((sum, size) => sum + size, 0)
    if (total > this.#maxPayloadBytes) throw new RangeError('outputs over the bound')
    this.#answer = answer
    this.#payloads = sizes.map((size) => new Uint8Array(size))
    return bytes.subarray(LENGTH_BYTES + length)
  }

  #finish(): AnswerFrame {
    const answer = this.#answer
    if (answer === null) throw new TypeError('no header yet')
    const tensors =
      answer.type !== 'ran'
        ? []
        : answer.tensors.map(({ dtype, shape }, position) => ({
            dtype,
            shape,
            axes: [],
            data: elementsOf(dtype, this.#payloads[position] ?? new Uint8Array(0)),
          }))
    this.#header = new Uint8Array(0)
    this.#answer = null
    this.#payloads = []
    this.#index = 0
    return { answer, tensors }
  }
}

function readAnswer(value: unknown): Answer {
  if (typeof value !== 'object' || value === null) throw new TypeError('not an answer')
  const { type, message, memoryBytes, inputs, outputs, tensors, computeMs } = value as Partial<
    Record<string, unknown>
  >
  if (type === 'failed' && typeof message === 'string') return { type, message }
  if (isCount(memoryBytes)) {
    if (type === 'opened' && areInfos(inputs) && areInfos(outputs)) {
      return { type, inputs, outputs, memoryBytes }
    }
    if (type === 'ran' && areTensors(tensors) && typeof computeMs === 'number' && computeMs >= 0) {
      return { type, tensors, computeMs, memoryBytes }
    }
  }
  throw new TypeError('not an answer')
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0

const isDtype = (value: unknown): value is Dtype => DTYPES.includes(value as Dtype)

const areInfos = (value: unknown): value is EngineTensorInfo[] =>
  Array.isArray(value) &&
  value.every(
    (item) =>
      typeof item?.name === 'string' &&
      isDtype(item.dtype) &&
      Array.isArray(item.shape) &&
      item.shape.every((size: unknown) => size === -1 || isCount(size)),
  )

const areTensors = (value: unknown): value is WireTensor[] =>
  Array.isArray(value) &&
  value.every(
    (item) =>
      isDtype(item?.dtype) &&
      Array.isArray(item.shape) &&
      item.shape.every(isCount) &&
      isCount(payloadBytes(item)),
  )
