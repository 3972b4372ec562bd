/**
 * ONNX models, each in a process of its own (onnx-child.ts) over copies of its files in a fresh
 * folder. The weights are scanned before the runtime sees them, and the bytes that were scanned
 * are the bytes that run.
 */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { checkOnnx, scanOnnx } from '../../protocol/onnx-model.ts'
import type {
  Engine,
  EngineModel,
  EngineRun,
  EngineSession,
  EngineTensorInfo,
  Isolation,
  RunLimits,
} from './engine.ts'
import type { Answer } from './engine-wire.ts'
import { ModelProcess } from './model-process.ts'
import { probeSandbox, type Sandbox } from './sandbox.ts'
import type { Tensor } from './tensor.ts'
import { cancelled } from './turns.ts'

/** The version that package.json pins. */
const RUNTIME = 'onnxruntime-node 1.30.0'
const EXECUTION_PROVIDER = 'cpu'
/** Share of the machine's memory that one model may allocate. */
export const DEFAULT_MEMORY_SHARE = 0.5
/** Below this the runtime itself does not start reliably: measured 600 MiB on two cores. */
export const MIN_MEMORY_BYTES = 1024 ** 3
/** Each thread's stack counts as memory, used or not. */
const STACK_BYTES = 8 * 1024 ** 2
/** Largest sum of one run's outputs: four times the largest input body. */
export const MAX_OUTPUT_BYTES = 1024 ** 3
/** Longest that the runtime may take to load a model; the largest take some seconds. */
export const MAX_LOAD_MS = 120_000
/** Protobuf's own bound of one message. */
export const MAX_WEIGHTS_BYTES = 2 * 1024 ** 3 - 1

/** The entry beside this file: `.ts` in the repository, `.js` in the package. */
const CHILD = fileURLToPath(
  new URL(`./onnx-child${path.extname(new URL(import.meta.url).pathname)}`, import.meta.url),
)

export interface OnnxEngineOptions {
  /** A folder of this engine alone; emptied at start. */
  readonly spool: string
  /** Bytes that one model's process may allocate; default {@link DEFAULT_MEMORY_SHARE}. */
  readonly memoryLimitBytes?: number
  /** Threads of one session; default: all cores, which take turns without spinning. */
  readonly threads?: number
  /** `LD_LIBRARY_PATH` of the processes: where CUDA lies. */
  readonly libraryPath?: string
}

/** @throws ZoariumError STORE where the spool folder cannot be made */
export async function createOnnxEngine(options: OnnxEngineOptions): Promise<Engine> {
  try {
    await mkdir(options.spool, { recursive: true, mode: 0o700 })
    await chmod(options.spool, 0o700)
    await empty(options.spool)
  } catch (error) {
    throw new ZoariumError('STORE', "couldn't prepare the folder of the engine", {}, error)
  }
  return new OnnxEngine(options, await probeSandbox())
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await remove(path.join(folder, name))
}

const remove = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true })

class OnnxEngine implements Engine {
  readonly name = 'onnx'
  readonly version = RUNTIME
  readonly executionProviders = [EXECUTION_PROVIDER]
  readonly isolation: readonly Isolation[]
  readonly memoryLimitBytes: number
  readonly #spool: string
  readonly #threads: number
  readonly #env: Readonly<Record<string, string>>
  readonly #sandbox: Sandbox
  readonly #processes = new Set<ModelProcess>()
  #isClosed = false

  constructor(options: OnnxEngineOptions, sandbox: Sandbox) {
    this.isolation = sandbox.isolation
    this.memoryLimitBytes = Math.max(
      MIN_MEMORY_BYTES,
      options.memoryLimitBytes ?? machineMemory() * DEFAULT_MEMORY_SHARE,
    )
    this.#spool = options.spool
    this.#threads = options.threads ?? os.availableParallelism()
    this.#env = options.libraryPath === undefined ? {} : { LD_LIBRARY_PATH: options.libraryPath }
    this.#sandbox = sandbox
  }

  async open(model: EngineModel, limits: RunLimits): Promise<EngineSession> {
    const start = performance.now()
    // mkdtemp makes it 0700.
    const folder = await mkdtemp(path.join(this.#spool, 'model-'))
    let process: ModelProcess | null = null
    try {
      await copyFiles(model, folder)
      await scan(model, folder)
      process = this.#start(folder)
      const left = limits.deadlineMs - (performance.now() - start)
      const { answer } = await process.request(
        { type: 'open', main: model.main, threads: this.#threads },
        [],
        { deadlineMs: Math.min(MAX_LOAD_MS, Math.max(1, left)), signal: limits.signal },
      )
      if (answer.type !== 'opened') throw new ZoariumError('MODEL_CRASH', 'an unexpected answer')
      return new OnnxSession(process, folder, answer, performance.now() - start)
    } catch (error) {
      await process?.kill()
      await remove(folder)
      throw error
    }
  }

  #start(cwd: string): ModelProcess {
    if (this.#isClosed) throw cancelled()
    const process = new ModelProcess({
      command: this.#sandbox.wrap(
        [globalThis.process.execPath, CHILD],
        this.memoryLimitBytes + this.#threads * STACK_BYTES,
      ),
      cwd,
      env: this.#env,
      maxOutputBytes: MAX_OUTPUT_BYTES,
    })
    this.#processes.add(process)
    void process.exited.then(() => this.#processes.delete(process))
    return process
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#processes].map((process) => process.kill()))
    await empty(this.#spool)
  }
}

/** Bytes of the machine, or of the container where that has less. */
function machineMemory(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, os.totalmem()) : os.totalmem()
}

async function copyFiles(model: EngineModel, folder: string): Promise<void> {
  for (const file of model.files) {
    if (path.basename(file.name) !== file.name || file.name.startsWith('.')) {
      throw new TypeError(`not a bare file name: ${file.name}`)
    }
    const copy = path.join(folder, file.name)
    await file.copyTo(copy)
    const { size } = await stat(copy)
    if (size !== file.size) {
      throw new ZoariumError('STORE', "couldn't copy a file of the model", {
        field: file.name,
        limit: file.size,
        got: size,
      })
    }
  }
}

/** @throws ZoariumError MODEL_PARSE, MODEL_UNSUPPORTED, EXTERNAL_DATA, LIMIT */
async function scan(model: EngineModel, folder: string): Promise<void> {
  const main = path.join(folder, model.main)
  const { size } = await stat(main)
  if (size > MAX_WEIGHTS_BYTES) {
    throw new ZoariumError('LIMIT', 'ONNX weights end at 2 GiB; larger ones use external data', {
      field: model.main,
      limit: MAX_WEIGHTS_BYTES,
      got: size,
    })
  }
  const summary = expectOk(scanOnnx(await readFile(main)))
  const others = model.files.map(({ name }) => name).filter((name) => name !== model.main)
  expectOk(checkOnnx(summary, others))
}

class OnnxSession implements EngineSession {
  readonly inputs: readonly EngineTensorInfo[]
  readonly outputs: readonly EngineTensorInfo[]
  readonly executionProvider = EXECUTION_PROVIDER
  readonly openMs: number
  readonly #process: ModelProcess
  readonly #removed: Promise<void>
  #memoryBytes: number

  constructor(
    process: ModelProcess,
    folder: string,
    opened: Answer & { readonly type: 'opened' },
    openMs: number,
  ) {
    this.inputs = opened.inputs
    this.outputs = opened.outputs
    this.openMs = openMs
    this.#memoryBytes = opened.memoryBytes
    this.#process = process
    this.#removed = process.exited.then(() => remove(folder))
  }

  get memoryBytes(): number {
    return this.#memoryBytes
  }

  get isOpen(): boolean {
    return this.#process.isAlive
  }

  async run(inputs: readonly Tensor[], limits: RunLimits): Promise<EngineRun> {
    const tensors = inputs.map(({ dtype, shape }) => ({ dtype, shape }))
    const frame = await this.#process.request({ type: 'run', tensors }, inputs, limits)
    if (frame.answer.type !== 'ran') throw new ZoariumError('MODEL_CRASH', 'an unexpected answer')
    const { computeMs, memoryBytes } = frame.answer
    this.#memoryBytes = memoryBytes
    return { outputs: frame.tensors, computeMs }
  }

  async close(): Promise<void> {
    await this.#process.kill()
    await this.#removed
  }
}
