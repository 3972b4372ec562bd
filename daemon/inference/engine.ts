/**
 * The engine seam: what runs a model. The engine knows nothing of cards, images or HTTP; it maps
 * tensors to tensors by position, as graph inputs are matched.
 *
 * Contract (test/suites/engine.ts):
 * - A model sees copies of its own files, and no other file, no environment and no key.
 * - `run` ends within its deadline or throws TIMEOUT; the model's process is then gone.
 * - A crash, a hang or exhausted memory costs this session only and throws a coded error.
 */
import type { Dtype } from '../../protocol/model-description.ts'
import type { Tensor } from './tensor.ts'

/** The files of one model, as the engine gets them. */
export interface EngineModel {
  /** Names the model in logs and breakers; usually the record id. */
  readonly id: string
  /** The weights file among `files`. */
  readonly main: string
  readonly files: readonly {
    /** Bare file name. */
    readonly name: string
    readonly size: number
    /** Writes a copy to `path`. */
    copyTo(path: string): Promise<void>
  }[]
}

export interface EngineTensorInfo {
  readonly name: string
  readonly dtype: Dtype
  /** -1: free. Empty with rank unknown. */
  readonly shape: readonly number[]
}

export interface EngineRun {
  /** By the position of the graph's outputs. Axes are empty. */
  readonly outputs: readonly Tensor[]
  /** Milliseconds inside the runtime's own run call. */
  readonly computeMs: number
}

export interface EngineSession {
  readonly inputs: readonly EngineTensorInfo[]
  readonly outputs: readonly EngineTensorInfo[]
  /** E.g. `cpu`. */
  readonly executionProvider: string
  /** Milliseconds from the call of `open` until ready. */
  readonly openMs: number
  /** Resident bytes of the process, last measured. */
  readonly memoryBytes: number
  /** False once the process is gone; a closed session never opens again. */
  readonly isOpen: boolean
  /**
   * Runs once. One run at a time; callers queue. The elements of `inputs` are not changed.
   * @throws ZoariumError INPUT, MODEL_FAILED, MODEL_CRASH, MODEL_MEMORY, MODEL_UNSUPPORTED,
   * TIMEOUT, CANCELLED; after the last two and a crash the session is closed
   */
  run(inputs: readonly Tensor[], limits: RunLimits): Promise<EngineRun>
  close(): Promise<void>
}

export interface RunLimits {
  readonly deadlineMs: number
  readonly signal?: AbortSignal | undefined
}

/** What keeps a model from the rest of the machine, beyond an own process. */
export const ISOLATIONS = ['memory', 'network', 'parent-death', 'privileges'] as const
export type Isolation = (typeof ISOLATIONS)[number]

export interface Engine {
  readonly name: string
  /** Name and version of the runtime, e.g. `onnxruntime-node 1.30.0`. */
  readonly version: string
  /** Execution providers that sessions can have, e.g. `cpu`. */
  readonly executionProviders: readonly string[]
  readonly isolation: readonly Isolation[]
  /** Most bytes that one session may allocate. */
  readonly memoryLimitBytes: number
  /**
   * Loads a model.
   * @throws ZoariumError MODEL_PARSE, MODEL_UNSUPPORTED, EXTERNAL_DATA, MODEL_CRASH, MODEL_MEMORY,
   * TIMEOUT, CANCELLED
   */
  open(model: EngineModel, limits: RunLimits): Promise<EngineSession>
  /** Ends every session. */
  close(): Promise<void>
}
