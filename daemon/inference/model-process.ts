/**
 * The daemon's side of one model's process: one request at a time, each with a deadline that is
 * enforced by killing. The runtime offers no cancellation (its run call blocks and its terminate
 * flag is ignored from JavaScript), so killing is also how a request is cancelled; a new process
 * takes about a tenth of a second.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { type Code, ZoariumError } from '../../protocol/errors.ts'
import type { RunLimits } from './engine.ts'
import { type AnswerFrame, AnswerReader, encodeHeader, type Request } from './engine-wire.ts'
import { codeOfExit, codeOfMessage, readable } from './onnx-errors.ts'
import { bytesOfTensor, type Tensor } from './tensor.ts'
import { cancelled } from './turns.ts'

const SOCKET = 4
/** Kept from the process's own error output, to tell why it died. */
const MAX_STDERR_CHARS = 4096

export interface ModelProcessOptions {
  readonly command: readonly string[]
  /** Working folder. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** Most bytes of one answer's outputs. */
  readonly maxOutputBytes: number
}

interface Waiting {
  readonly resolve: (frame: AnswerFrame) => void
  readonly reject: (error: ZoariumError) => void
}

export class ModelProcess {
  readonly #child: ChildProcess
  readonly #socket: Socket
  readonly #reader: AnswerReader
  /** Ends with the process; never rejects. */
  readonly exited: Promise<void>
  readonly #cwd: string
  #stderr = ''
  #isAlive = true
  /** Why this side killed it. */
  #reason: ZoariumError | null = null
  #waiting: Waiting | null = null

  constructor(options: ModelProcessOptions) {
    const [file, ...args] = options.command
    if (file === undefined) throw new TypeError('no command')
    this.#child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', 'ignore', 'pipe', 'ignore', 'pipe'],
    })
    this.#cwd = options.cwd
    // SAFE: 'pipe' in that place is a socket pair.
    this.#socket = this.#child.stdio[SOCKET] as Socket
    this.#reader = new AnswerReader(options.maxOutputBytes)
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk))
    // The process is gone or going; `exited` says how.
    this.#socket.on('error', () => {})
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('latin1')).slice(-MAX_STDERR_CHARS)
    })
    this.exited = new Promise((resolve) => {
      const end = (signal: string | null): void => {
        if (!this.#isAlive) return
        this.#isAlive = false
        this.#socket.destroy()
        this.#waiting?.reject(this.#reason ?? this.#died(signal))
        this.#waiting = null
        resolve()
      }
      // 'close' comes after the last byte of stderr.
      this.#child.once('close', (_code, signal) => end(signal))
      this.#child.once('error', (error) => {
        this.#reason = new ZoariumError('MODEL_CRASH', "couldn't start a process", {}, error)
        end(null)
      })
    })
  }

  get isAlive(): boolean {
    return this.#isAlive && this.#reason === null
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /**
   * Asks and waits. @throws ZoariumError TIMEOUT, CANCELLED, MODEL_CRASH, MODEL_MEMORY: the
   * process is gone; or the code of the runtime's own message: it lives on
   */
  async request(
    request: Request,
    tensors: readonly Tensor[],
    { deadlineMs, signal }: RunLimits,
  ): Promise<AnswerFrame> {
    if (signal?.aborted) throw cancelled()
    if (!this.isAlive) throw new ZoariumError('MODEL_CRASH', 'the process is gone')
    if (this.#waiting !== null) throw new TypeError('one request at a time')
    const answered = new Promise<AnswerFrame>((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
    const timer = setTimeout(() => {
      this.#end(
        new ZoariumError('TIMEOUT', 'the model ran over the deadline', { limit: deadlineMs }),
      )
    }, deadlineMs)
    const onAbort = (): void => this.#end(cancelled())
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      this.#socket.write(encodeHeader(request))
      for (const tensor of tensors) this.#socket.write(bytesOfTensor(tensor))
      const frame = await answered
      if (frame.answer.type !== 'failed') return frame
      const { message } = frame.answer
      const phase = request.type === 'open' ? 'open' : 'run'
      throw new ZoariumError(codeOfMessage(message, phase), readable(message, this.#cwd))
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Ends the process and waits until it is gone. */
  async kill(): Promise<void> {
    this.#end(cancelled())
    await this.exited
  }

  #end(reason: ZoariumError): void {
    this.#reason ??= reason
    this.#child.kill('SIGKILL')
  }

  #take(chunk: Uint8Array): void {
    try {
      const frame = this.#reader.push(chunk)
      if (frame === null) return
      const waiting = this.#waiting
      if (waiting === null) throw new TypeError('an answer without a request')
      this.#waiting = null
      waiting.resolve(frame)
    } catch (error) {
      const [code, message]: [Code, string] =
        error instanceof RangeError
          ? ['MODEL_MEMORY', 'the model returned more than fits']
          : ['MODEL_CRASH', 'the process that ran the model broke the protocol']
      this.#end(new ZoariumError(code, message, {}, error))
    }
  }

  #died(signal: string | null): ZoariumError {
    const code = codeOfExit(signal, this.#stderr)
    const how = signal ?? `exit status ${this.#child.exitCode ?? 'unknown'}`
    return code === 'MODEL_MEMORY'
      ? new ZoariumError(code, 'the model needs more memory than it may use', { got: how })
      : new ZoariumError(code, 'the process that ran the model died', { got: how })
  }
}
