/**
 * The inference service of a node: an image in, a result out, through the card's whole pipeline.
 * Images and results live in memory for the request and nowhere else.
 */
import type { OutputView } from '../../protocol/api.ts'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk, type Verdict, ZoariumError } from '../../protocol/errors.ts'
import type { ModelDescription } from '../../protocol/model-description.ts'
import { type Clock, systemClock } from '../../registry/clock.ts'
import { mapAxes } from './axes.ts'
import {
  type Comparison,
  compareTensors,
  type Reproduction,
  summarise,
  toleranceFor,
} from './compare.ts'
import type { Engine, EngineModel, RunLimits } from './engine.ts'
import { ImageCodec } from './image/codec.ts'
import { encodeOutputs } from './image/encode.ts'
import { formatOfAccept, type OutputFormat } from './image/formats.ts'
import type { Image, ImageFormat } from './image/image.ts'
import { checkOperations, feedsFor, finish, planRun, prepare } from './pipeline.ts'
import { type SessionLimits, Sessions } from './sessions.ts'
import { countOf, type Tensor } from './tensor.ts'

export interface InferenceLimits extends SessionLimits {
  /** Bytes of all inputs that are in work or wait; over it new requests are refused. */
  readonly maxPendingBytes: number
  /** Memory of a run per input element where it was never measured. */
  readonly bytesPerElement: number
}

const MINUTE_MS = 60_000

/** Bounds of one node; `maxMemoryBytes` is set from the engine's own limit. */
export const DEFAULT_LIMITS: Omit<InferenceLimits, 'maxMemoryBytes'> = {
  maxSessions: 8,
  maxWaiting: 16,
  maxFailures: 3,
  failureWindowMs: 10 * MINUTE_MS,
  quarantineMs: 60 * MINUTE_MS,
  minTimeoutMs: 30_000,
  maxPendingBytes: 1024 ** 3,
  // A U-Net of 16 channels in its first level took 560 bytes, a lighter one 150.
  bytesPerElement: 256,
}

/** Weight of the newest run in the smoothed speed. */
const SPEED_WEIGHT = 0.3
/** Runs of fewer elements say nothing of memory: the runtime's own buffers outweigh them. */
const MIN_MEASURED_ELEMENTS = 2 ** 18
/** Models whose speed is kept. */
const MAX_PROFILES = 1000

export interface RunnableModel {
  readonly record: Cid
  readonly description: ModelDescription
  readonly engineModel: EngineModel
}

export interface InferenceInput {
  readonly bytes: Uint8Array
  /** Not believed: the bytes say what they are. */
  readonly mediaType: string | null
}

export interface InferenceOptions {
  readonly output?: OutputFormat | null
  /** An Accept header; `output` goes before it. */
  readonly accept?: string | null | undefined
  /** For the whole request, waiting included. */
  readonly deadlineMs: number
  readonly signal?: AbortSignal | undefined
}

/** Milliseconds of each part. */
export interface Timings {
  readonly decodeMs: number
  readonly preprocessMs: number
  readonly queueMs: number
  readonly openMs: number
  readonly computeMs: number
  readonly postprocessMs: number
  readonly encodeMs: number
}

export interface RunResult {
  readonly body: Uint8Array
  readonly mediaType: string
  readonly outputs: readonly OutputView[]
  readonly timings: Timings
  /** What the client should know: padding, dropped channels, spread values. */
  readonly notes: readonly string[]
}

export interface TensorResult {
  /** In the card's order, with its axes. */
  readonly outputs: readonly Tensor[]
  readonly timings: Omit<Timings, 'decodeMs' | 'encodeMs'>
  readonly notes: readonly string[]
}

export interface InferenceStatus {
  readonly queued: number
  readonly running: number
  /** Models whose sessions are open, the most recently used first. */
  readonly warm: readonly Cid[]
  /** Smoothed microseconds of computing per million input elements. */
  readonly speed: readonly { readonly model: Cid; readonly usPerMegapixel: number }[]
}

export interface InferenceServices {
  readonly engine: Engine
  readonly clock?: Clock
  readonly limits?: Partial<InferenceLimits>
}

/** What was measured of a model. */
interface Profile {
  usPerMegapixel: number
  bytesPerElement: number | null
}

export class Inference {
  readonly #engine: Engine
  readonly #limits: InferenceLimits
  readonly #sessions: Sessions
  readonly #codec = new ImageCodec()
  readonly #profiles = new Map<Cid, Profile>()
  #pendingBytes = 0

  constructor({ engine, clock = systemClock, limits = {} }: InferenceServices) {
    this.#engine = engine
    this.#limits = { ...DEFAULT_LIMITS, maxMemoryBytes: engine.memoryLimitBytes, ...limits }
    this.#sessions = new Sessions(engine, clock, this.#limits)
  }

  /**
   * Runs a model on images. @param inputs by input id; null: the one input that is not named
   * @throws ZoariumError of the input (INPUT, INPUT_EMPTY, INPUT_LENGTH, IMAGE, FORMAT, PIXELS,
   * TILING_NEEDED, PARAMETER), of the model (MODEL_*, EXTERNAL_DATA, OUTPUT_SHAPE) or of the moment
   * (BUSY, TIMEOUT, CANCELLED)
   */
  async run(
    model: RunnableModel,
    inputs: ReadonlyMap<string | null, InferenceInput>,
    options: InferenceOptions,
  ): Promise<RunResult> {
    const { description } = model
    const limits = countdown(options)
    expectOk(checkOperations(description))
    this.#sessions.check(model.engineModel)
    const bytes = [...inputs.values()].reduce((sum, input) => sum + input.bytes.length, 0)
    this.#admit(bytes)
    try {
      const start = performance.now()
      const decoded = await this.#decode(description, inputs, limits)
      const decodeMs = performance.now() - start
      const result = await this.runTensors(model, decoded.tensors, limits())
      const begin = performance.now()
      const encoded = expectOk(
        await encodeOutputs(
          {
            descriptions: description.outputs,
            outputs: result.outputs,
            wanted: options.output ?? formatOfAccept(options.accept),
            given: decoded.format,
          },
          this.#codec,
          limits(),
        ),
      )
      return {
        ...encoded,
        outputs: result.outputs.map(({ axes, shape, dtype }, i) => ({
          id: description.outputs[i]?.id ?? '',
          axes,
          shape,
          dtype,
        })),
        timings: { decodeMs, ...result.timings, encodeMs: performance.now() - begin },
        notes: [...decoded.notes, ...result.notes, ...encoded.notes],
      }
    } finally {
      this.#pendingBytes -= bytes
    }
  }

  /**
   * Runs a model on tensors with the card's axes, of the image's own elements.
   * @throws ZoariumError as {@link run}
   */
  async runTensors(
    model: RunnableModel,
    tensors: ReadonlyMap<string, Tensor>,
    options: RunLimits,
  ): Promise<TensorResult> {
    const { description, record } = model
    const limits = countdown(options)
    const start = performance.now()
    expectOk(checkOperations(description))
    const fit = expectOk(planRun(description, tensors))
    const elements = [...fit.padded.values()].reduce((sum, shape) => sum + countOf(shape), 0)
    this.#checkMemory(record, elements)
    const prepared = prepare(description, tensors, fit)
    const preprocessMs = performance.now() - start
    return this.#sessions.use(model.engineModel, limits(), async (session, left, waits) => {
      const before = session.memoryBytes
      const feeds = expectOk(feedsFor(prepared.feeds, session.inputs))
      const { outputs, computeMs } = await session.run(feeds, left).catch((error: unknown) => {
        throw explained(error)
      })
      this.#learn(record, elements, computeMs, session.memoryBytes - before)
      const begin = performance.now()
      const finished = expectOk(finish(description, prepared, outputs))
      const postprocessMs = performance.now() - begin
      return { ...finished, timings: { preprocessMs, ...waits, computeMs, postprocessMs } }
    })
  }

  /**
   * Runs the card's own test and compares by its tolerance.
   * @param read the bytes of a file that the card names, by its path
   * @throws ZoariumError CARD_INVALID without test tensors, TEST_FAILED for other shapes, and what
   * {@link run} throws
   */
  async reproduce(
    model: RunnableModel,
    read: (path: string) => Promise<Uint8Array>,
    options: RunLimits,
  ): Promise<Reproduction> {
    const { description } = model
    const limits = countdown(options)
    const testOf = async (id: string, source: string | undefined): Promise<Image> => {
      if (source === undefined) {
        throw new ZoariumError('CARD_INVALID', 'the card names no test tensor', { field: id })
      }
      return expectOk(await this.#codec.decode(await read(source), limits()))
    }
    const tensors = new Map<string, Tensor>()
    for (const input of description.inputs) {
      const image = await testOf(input.id, input.testTensor?.source)
      tensors.set(input.id, expectOk(mapAxes(image, input)).tensor)
    }
    const { outputs, timings } = await this.runTensors(model, tensors, limits())
    const compared: (Comparison & { id: string })[] = []
    for (const [i, output] of description.outputs.entries()) {
      const { tensor: expected } = await testOf(output.id, output.testTensor?.source)
      const actual = outputs[i]
      if (actual === undefined || String(actual.shape) !== String(expected.shape)) {
        throw new ZoariumError('TEST_FAILED', 'the result has another shape than the test output', {
          field: output.id,
          limit: expected.shape.join(' x '),
          got: actual?.shape.join(' x ') ?? 'nothing',
        })
      }
      const tolerance = toleranceFor(description, output.id)
      compared.push({ id: output.id, ...compareTensors(actual, expected, tolerance) })
    }
    return summarise(compared, timings.computeMs)
  }

  status(): InferenceStatus {
    return {
      queued: this.#sessions.queued,
      running: this.#sessions.running,
      // SAFE: engine models are named by their record.
      warm: this.#sessions.open as readonly Cid[],
      speed: [...this.#profiles].map(([model, { usPerMegapixel }]) => ({
        model,
        usPerMegapixel: Math.round(usPerMegapixel),
      })),
    }
  }

  /** Like {@link Sessions.retain}. */
  retain(mayRun: (record: Cid) => boolean): Promise<void> {
    // SAFE: engine models are named by their record.
    return this.#sessions.retain((id) => mayRun(id as Cid))
  }

  /** Ends every session, and with them the engine. */
  async close(): Promise<void> {
    await Promise.all([this.#sessions.close(), this.#codec.close()])
  }

  #admit(bytes: number): void {
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > this.#limits.maxPendingBytes) {
      throw new ZoariumError('BUSY', 'too many images are in work already', {
        limit: this.#limits.maxPendingBytes,
        got: this.#pendingBytes + bytes,
        hint: 'try again in a few seconds',
      })
    }
    this.#pendingBytes += bytes
  }

  async #decode(
    description: ModelDescription,
    inputs: ReadonlyMap<string | null, InferenceInput>,
    limits: () => RunLimits,
  ): Promise<{ tensors: Map<string, Tensor>; format: ImageFormat; notes: string[] }> {
    const named = nameInputs(description, inputs)
    const tensors = new Map<string, Tensor>()
    const notes: string[] = []
    let format: ImageFormat = 'npy'
    for (const input of description.inputs) {
      const given = named.get(input.id)
      if (given === undefined) continue
      const image = decodedAs(await this.#codec.decode(given.bytes, limits()), input.id)
      const mapped = expectOk(mapAxes(image, input))
      if (tensors.size === 0) format = image.format
      tensors.set(input.id, mapped.tensor)
      notes.push(...mapped.notes)
    }
    return { tensors, format, notes }
  }

  #checkMemory(record: Cid, elements: number): void {
    const measured = this.#profiles.get(record)?.bytesPerElement
    const estimate = elements * (measured ?? this.#limits.bytesPerElement)
    const limit = this.#engine.memoryLimitBytes
    if (estimate <= limit) return
    throw new ZoariumError(
      'TILING_NEEDED',
      'the image is too large to run at once: it would have to be run in tiles',
      {
        limit: Math.floor((elements * limit) / estimate),
        got: elements,
        hint: 'crop the image; limit and got are pixels times channels',
      },
    )
  }

  #learn(record: Cid, elements: number, computeMs: number, growth: number): void {
    const known = this.#profiles.get(record)
    const now = (computeMs * 1000) / (elements / 1e6)
    // The runtime keeps its largest memory, so only growth tells; later runs grow by nothing.
    const measured = elements < MIN_MEASURED_ELEMENTS ? 0 : growth / elements
    const bytesPerElement = Math.max(known?.bytesPerElement ?? 0, measured)
    const usPerMegapixel =
      known === undefined ? now : known.usPerMegapixel + SPEED_WEIGHT * (now - known.usPerMegapixel)
    this.#profiles.delete(record)
    this.#profiles.set(record, { usPerMegapixel, bytesPerElement: bytesPerElement || null })
    const [oldest] = this.#profiles.keys()
    if (this.#profiles.size > MAX_PROFILES && oldest !== undefined) this.#profiles.delete(oldest)
  }
}

/** What is left of a deadline, whenever it is asked. */
function countdown({ deadlineMs, signal }: RunLimits): () => RunLimits {
  const end = performance.now() + deadlineMs
  return () => {
    const left = end - performance.now()
    if (left <= 0) throw new ZoariumError('TIMEOUT', 'over the deadline', { limit: deadlineMs })
    return { deadlineMs: left, signal }
  }
}

/** Gives the input without a name to the first that was not named. */
function nameInputs(
  { inputs }: ModelDescription,
  given: ReadonlyMap<string | null, InferenceInput>,
): Map<string, InferenceInput> {
  const named = new Map<string, InferenceInput>()
  for (const [id, input] of given) {
    if (id === null) continue
    if (!inputs.some((known) => known.id === id)) {
      throw new ZoariumError('INPUT', 'the model has no input of that name', {
        field: id.slice(0, 80),
        limit: inputs.map((known) => known.id).join(', '),
      })
    }
    named.set(id, input)
  }
  const unnamed = given.get(null)
  if (unnamed !== undefined) {
    const free = inputs.find(({ id }) => !named.has(id))
    if (free === undefined) throw new ZoariumError('INPUT', 'one input more than the model has')
    named.set(free.id, unnamed)
  }
  if (named.size === 0) throw new ZoariumError('INPUT_EMPTY', 'no input')
  return named
}

function decodedAs(image: Verdict<Image>, id: string): Image {
  return expectOk(image.ok ? image : { field: id, ...image })
}

/** Memory that runs out says what to do about it. */
function explained(error: unknown): unknown {
  if (!(error instanceof ZoariumError) || error.code !== 'MODEL_MEMORY') return error
  const hint = 'crop the image: a smaller one needs less memory'
  return new ZoariumError(error.code, error.message, { ...error.data, hint }, error)
}
