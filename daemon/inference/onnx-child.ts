/**
 * Entry of the process that runs one model, and the only file that imports ONNX Runtime.
 *
 * It reads requests from a socket pair on descriptor 4 and answers each, until the other side
 * closes. Reads and writes block: while a model runs nothing else may happen here anyway, and
 * bytes go straight between the socket and the tensors. It has an empty environment, a fresh
 * working folder with copies of the model's files, and limits set by its parent (sandbox.ts).
 */
import { readSync, writeSync } from 'node:fs'
import { InferenceSession, type OnnxValue, Tensor } from 'onnxruntime-node'
import type { EngineTensorInfo } from './engine.ts'
import {
  type Answer,
  decodeHeader,
  encodeHeader,
  LENGTH_BYTES,
  lengthOfHeader,
  payloadBytes,
  type Request,
  type WireTensor,
} from './engine-wire.ts'
import { fromFloat16, toFloat16 } from './float16.ts'
import { elementsOf, type TypedArray } from './tensor.ts'

const SOCKET = 4
/** Longest message that is passed on; the runtime repeats whole shapes and names. */
const MAX_MESSAGE_CHARS = 4000

/** False at the end of the stream. */
function fill(bytes: Uint8Array): boolean {
  for (let offset = 0; offset < bytes.length; ) {
    const count = readSync(SOCKET, bytes, offset, bytes.length - offset, null)
    if (count === 0) return false
    offset += count
  }
  return true
}

function send(bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length; ) {
    offset += writeSync(SOCKET, bytes, offset, bytes.length - offset)
  }
}

function receive(): { request: Request; payloads: Uint8Array[] } | null {
  const length = new Uint8Array(LENGTH_BYTES)
  if (!fill(length)) return null
  const json = new Uint8Array(lengthOfHeader(length))
  if (!fill(json)) return null
  // SAFE: the parent wrote it.
  const request = decodeHeader(json) as Request
  const payloads: Uint8Array[] = []
  for (const tensor of request.type === 'run' ? request.tensors : []) {
    const payload = new Uint8Array(payloadBytes(tensor))
    if (!fill(payload)) return null
    payloads.push(payload)
  }
  return { request, payloads }
}

function answer(header: Answer, payloads: readonly Uint8Array[] = []): void {
  send(encodeHeader(header))
  for (const payload of payloads) send(payload)
}

const memory = (): number => process.memoryUsage.rss()

/** float16 is carried as float32. */
function infoOf(metadata: InferenceSession.ValueMetadata): EngineTensorInfo {
  if (!metadata.isTensor) throw new Error(`unsupported type: ${metadata.name} is not a tensor`)
  const dtype = metadata.type === 'float16' ? 'float32' : metadata.type
  return {
    name: metadata.name,
    // SAFE: the parent refuses element types that it does not know.
    dtype: dtype as EngineTensorInfo['dtype'],
    shape: metadata.shape.map((size) => (typeof size === 'number' ? size : -1)),
  }
}

function feedOf(type: Tensor.Type, tensor: WireTensor, payload: Uint8Array): OnnxValue {
  const data = elementsOf(tensor.dtype, payload)
  const dims = [...tensor.shape]
  if (type === 'float16' && data instanceof Float32Array) {
    // From Node 23 on the runtime misreads its own float16 tensors; it reads these four fields
    // only, and right.
    return { type, dims, location: 'cpu', data: toFloat16(data) } as unknown as OnnxValue
  }
  return new Tensor(tensor.dtype as 'float32', data as Float32Array, dims)
}

function outputOf(value: OnnxValue): { tensor: WireTensor; payload: Uint8Array } {
  if (!('data' in value)) throw new Error('unsupported type: an output is not a tensor')
  const { type, dims } = value as Tensor
  if (type === 'string') throw new Error('unsupported type: an output holds text')
  let data = value.data as unknown as TypedArray
  if (type === 'float16') {
    data = fromFloat16(new Uint16Array(data.buffer, data.byteOffset, data.length))
  }
  return {
    tensor: { dtype: (type === 'float16' ? 'float32' : type) as WireTensor['dtype'], shape: dims },
    payload: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }
}

const open = (main: string, threads: number): Promise<InferenceSession> =>
  InferenceSession.create(`./${main}`, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    // Errors only; they arrive as exceptions too.
    logSeverityLevel: 3,
    // Spinning threads of several sessions take the processor from each other: measured 25.7
    // instead of 39.2 runs a second with four sessions on two cores, for 4 % when alone.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  })

async function run(
  session: InferenceSession,
  tensors: readonly WireTensor[],
  payloads: readonly Uint8Array[],
): Promise<void> {
  const feeds: Record<string, OnnxValue> = {}
  for (const [position, metadata] of session.inputMetadata.entries()) {
    const tensor = tensors[position]
    const payload = payloads[position]
    if (tensor === undefined || payload === undefined || !metadata.isTensor) continue
    feeds[metadata.name] = feedOf(metadata.type, tensor, payload)
  }
  const start = performance.now()
  const results = await session.run(feeds)
  const computeMs = performance.now() - start
  const outputs = session.outputNames.map((name) => {
    const value = results[name]
    if (value === undefined) throw new Error(`no output ${name}`)
    return outputOf(value)
  })
  answer(
    {
      type: 'ran',
      computeMs,
      memoryBytes: memory(),
      tensors: outputs.map(({ tensor }) => tensor),
    },
    outputs.map(({ payload }) => payload),
  )
}

let session: InferenceSession | null = null
for (;;) {
  const message = receive()
  if (message === null) break
  const { request, payloads } = message
  try {
    if (request.type === 'open') {
      session = await open(request.main, request.threads)
      answer({
        type: 'opened',
        inputs: session.inputMetadata.map(infoOf),
        outputs: session.outputMetadata.map(infoOf),
        memoryBytes: memory(),
      })
    } else if (session !== null) {
      await run(session, request.tensors, payloads)
    }
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    answer({ type: 'failed', message: text.slice(0, MAX_MESSAGE_CHARS) })
  }
}
