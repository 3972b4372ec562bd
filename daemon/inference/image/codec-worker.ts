/** Entry of the thread that decodes and encodes pictures, one at a time; see codec.ts. */
import { parentPort } from 'node:worker_threads'
import { refuse, type Verdict } from '../../../protocol/errors.ts'
import type { Image } from './image.ts'
import { decodePng, encodePng, type PngPixels } from './png.ts'
import { decodeTiff } from './tiff.ts'

export type CodecJob =
  | { readonly type: 'decode'; readonly format: 'png' | 'tiff'; readonly bytes: Uint8Array }
  | { readonly type: 'encode'; readonly pixels: PngPixels }

export type CodecResult = Verdict<Image> | Verdict<Uint8Array>

async function work(job: CodecJob): Promise<{ result: CodecResult; data: ArrayBufferLike | null }> {
  if (job.type === 'encode') {
    const bytes = encodePng(job.pixels)
    return { result: { ok: true, value: bytes }, data: bytes.buffer }
  }
  const image = await (job.format === 'png' ? decodePng(job.bytes) : decodeTiff(job.bytes))
  return { result: image, data: image.ok ? image.value.tensor.data.buffer : null }
}

parentPort?.on('message', async (job: CodecJob) => {
  let done: Awaited<ReturnType<typeof work>>
  try {
    done = await work(job)
  } catch (error) {
    const got = error instanceof Error ? error.message.slice(0, 200) : ''
    done = { result: refuse('IMAGE', 'the image cannot be read', { got }), data: null }
  }
  parentPort?.postMessage(done.result, done.data === null ? [] : [done.data as ArrayBuffer])
})
