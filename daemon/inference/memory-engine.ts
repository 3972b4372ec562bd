/**
 * The engine seam without a runtime: models are functions by the name of their main file. For tests
 * of everything above the seam; it keeps the same promises about deadlines, sessions and codes.
 */
import { ZoariumError } from '../../protocol/errors.ts'
import type {
  Engine,
  EngineModel,
  EngineRun,
  EngineSession,
  EngineTensorInfo,
  RunLimits,
} from './engine.ts'
import type { Tensor } from './tensor.ts'
import { cancelled } from './turns.ts'

export interface MemoryModel {
  readonly inputs: readonly EngineTensorInfo[]
  readonly outputs: readonly EngineTensorInfo[]
  /** A promise that never settles is a model that hangs; a throw is a failure with its code. */
  run(inputs: readonly Tensor[]): readonly Tensor[] | Promise<readonly Tensor[]>
  /** Thrown by `open`. */
  readonly openError?: ZoariumError
  readonly memoryBytes?: number
}

export class MemoryEngine implements Engine {
  readonly name = 'memory'
  readonly version = 'memory 1'
  readonly executionProviders = ['cpu']
  readonly isolation = []
  readonly memoryLimitBytes = 1024 ** 3
  readonly sessions = new Set<MemorySession>()
  /** Ids of models in the order in which they were opened. */
  readonly opened: string[] = []
  readonly #models: ReadonlyMap<string, MemoryModel>

  /** @param models by main file */
  constructor(models: Readonly<Record<string, MemoryModel>>) {
    this.#models = new Map(Object.entries(models))
  }

  async open(model: EngineModel, { deadlineMs, signal }: RunLimits): Promise<EngineSession> {
    if (signal?.aborted) throw cancelled()
    if (deadlineMs <= 0) throw new ZoariumError('TIMEOUT', 'over the deadline')
    const found = this.#models.get(model.main)
    if (found === undefined) throw new ZoariumError('MODEL_PARSE', `no function ${model.main}`)
    if (found.openError !== undefined) throw found.openError
    this.opened.push(model.id)
    const session = new MemorySession(found, () => this.sessions.delete(session))
    this.sessions.add(session)
    return session
  }

  async close(): Promise<void> {
    await Promise.all([...this.sessions].map((session) => session.close()))
  }
}

/** Failures after which a process would be gone. */
const FATAL: ReadonlySet<string> = new Set(['TIMEOUT', 'CANCELLED', 'MODEL_CRASH', 'MODEL_MEMORY'])

class MemorySession implements EngineSession {
  readonly executionProvider = 'cpu'
  readonly openMs = 1
  readonly inputs: readonly EngineTensorInfo[]
  readonly outputs: readonly EngineTensorInfo[]
  readonly memoryBytes: number
  readonly #model: MemoryModel
  readonly #onClose: () => void
  #fail: (error: ZoariumError) => void = () => {}
  #isOpen = true

  constructor(model: MemoryModel, onClose: () => void) {
    this.#model = model
    this.#onClose = onClose
    this.inputs = model.inputs
    this.outputs = model.outputs
    this.memoryBytes = model.memoryBytes ?? 1000
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  async run(inputs: readonly Tensor[], { deadlineMs, signal }: RunLimits): Promise<EngineRun> {
    if (!this.#isOpen) throw new ZoariumError('MODEL_CRASH', 'the session is closed')
    if (signal?.aborted) throw cancelled()
    let timer: NodeJS.Timeout | undefined
    const onAbort = (): void => this.#fail(cancelled())
    try {
      const ended = new Promise<never>((_, reject) => {
        this.#fail = reject
        timer = setTimeout(() => {
          reject(
            new ZoariumError('TIMEOUT', 'the model ran over the deadline', { limit: deadlineMs }),
          )
        }, deadlineMs)
        signal?.addEventListener('abort', onAbort, { once: true })
      })
      const results = (async () => this.#model.run(inputs))()
      const outputs = await Promise.race([results, ended])
      return { outputs: outputs.map((tensor) => ({ ...tensor, axes: [] })), computeMs: 1 }
    } catch (error) {
      if (error instanceof ZoariumError && FATAL.has(error.code)) this.#end()
      throw error
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async close(): Promise<void> {
    this.#fail(cancelled())
    this.#end()
  }

  #end(): void {
    this.#isOpen = false
    this.#onClose()
  }
}
