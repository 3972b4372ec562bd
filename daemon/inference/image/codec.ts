/**
 * Decoding and encoding of pictures in threads of their own: seconds of work for a large image must
 * not hold up the daemon, and a file made to be slow ends with its request's deadline.
 */
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { refuse, type Verdict, ZoariumError } from '../../../protocol/errors.ts'
import type { RunLimits } from '../engine.ts'
import { cancelled, Turns } from '../turns.ts'
import type { CodecJob, CodecResult } from './codec-worker.ts'
import { sniffFormat } from './formats.ts'
import type { Image } from './image.ts'
import { decodeNpy } from './npy.ts'
import type { PngPixels } from './png.ts'

/** Threads at most; further pictures wait. */
export const MAX_CODEC_THREADS = 2
/** Pictures that wait at most. */
const MAX_WAITING = 64
/** Heap of one thread, in MiB; pixels lie outside it. */
const THREAD_HEAP_MIB = 1024

const ENTRY = new URL(
  `./codec-worker${path.extname(new URL(import.meta.url).pathname)}`,
  import.meta.url,
)

export class ImageCodec {
  readonly #turns = new Turns(MAX_CODEC_THREADS, MAX_WAITING)
  readonly #idle = new Set<Worker>()
  readonly #all = new Set<Worker>()

  /**
   * Decodes an image of any known format. The tensor of a .npy may share the memory of `bytes`.
   * @throws ZoariumError TIMEOUT, CANCELLED, BUSY
   */
  async decode(bytes: Uint8Array, limits: RunLimits): Promise<Verdict<Image>> {
    const format = sniffFormat(bytes)
    if (!format.ok) return format
    if (format.value === 'npy') return decodeNpy(bytes)
    // A copy of just these bytes, which then moves to the thread.
    const own = new Uint8Array(bytes)
    const job: CodecJob = { type: 'decode', format: format.value, bytes: own }
    // SAFE: a decode job gives an image.
    return (await this.#work(job, [own.buffer], limits)) as Verdict<Image>
  }

  /** @throws ZoariumError TIMEOUT, CANCELLED, BUSY */
  async encodePng(pixels: PngPixels, limits: RunLimits): Promise<Verdict<Uint8Array>> {
    // SAFE: an encode job gives bytes.
    return (await this.#work({ type: 'encode', pixels }, [], limits)) as Verdict<Uint8Array>
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((worker) => worker.terminate()))
  }

  async #work(job: CodecJob, transfer: ArrayBuffer[], limits: RunLimits): Promise<CodecResult> {
    const start = performance.now()
    await this.#turns.take(limits)
    const [idle] = this.#idle
    const worker = idle ?? this.#spawn()
    this.#idle.delete(worker)
    try {
      const deadlineMs = Math.max(1, limits.deadlineMs - (performance.now() - start))
      const result = await ask(worker, job, transfer, { deadlineMs, signal: limits.signal })
      this.#idle.add(worker)
      return result
    } catch (error) {
      await worker.terminate()
      if (error instanceof ZoariumError) throw error
      // Out of heap, or a defect of a library: the next picture gets a new thread.
      const got = error instanceof Error ? error.message.slice(0, 200) : ''
      return refuse('IMAGE', 'the image cannot be read', { got })
    } finally {
      this.#turns.give()
    }
  }

  #spawn(): Worker {
    const worker = new Worker(ENTRY, {
      env: {},
      // A dependency of geotiff looks into it when it finds itself in a thread.
      workerData: {},
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB },
    })
    // An idle thread does not keep the process alive; a job's timer does.
    worker.unref()
    worker.on('error', () => {})
    worker.once('exit', () => {
      this.#all.delete(worker)
      this.#idle.delete(worker)
    })
    this.#all.add(worker)
    return worker
  }
}

function ask(
  worker: Worker,
  job: CodecJob,
  transfer: ArrayBuffer[],
  { deadlineMs, signal }: RunLimits,
): Promise<CodecResult> {
  if (signal?.aborted) return Promise.reject(cancelled())
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      worker.off('message', onMessage)
      worker.off('error', onError)
      finish()
    }
    const onMessage = (result: CodecResult): void => settle(() => resolve(result))
    const onError = (error: Error): void => settle(() => reject(error))
    const onAbort = (): void => settle(() => reject(cancelled()))
    const timer = setTimeout(() => {
      const message = 'the image took longer than the deadline'
      settle(() => reject(new ZoariumError('TIMEOUT', message, { limit: deadlineMs })))
    }, deadlineMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    worker.on('message', onMessage)
    worker.on('error', onError)
    worker.postMessage(job, transfer)
  })
}
