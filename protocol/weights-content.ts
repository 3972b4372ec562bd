/**
 * What a weights file looks like from its first bytes: most broken uploads are a pointer, an error
 * page or another format under the right name, and a sentence that says so saves an afternoon.
 */
import { accept, refuse, type Verdict } from './errors.ts'
import type { WeightFormat } from './model-description.ts'

/** Bytes of a file's beginning that a guess needs. */
export const CONTENT_HEAD_BYTES = 1024

export type Content =
  | 'empty'
  | 'zeros'
  | 'git-lfs-pointer'
  | 'html'
  | 'xml'
  | 'json'
  | 'pickle'
  | 'torch-zip'
  | 'zip'
  | 'gzip'
  | 'hdf5'
  | 'safetensors'
  | 'npy'
  | 'ort'
  | 'onnx'
  | 'text'
  | 'unknown'

const NAMES: Record<Content, string> = {
  empty: 'an empty file',
  zeros: 'a file of zeros, as an interrupted download leaves it',
  'git-lfs-pointer': 'a git-lfs pointer, not the file itself',
  html: 'a web page, probably an error page saved by a download',
  xml: 'an XML document, probably the error message of a storage service',
  json: 'a JSON document',
  pickle: 'a Python pickle, which executes code when it is loaded',
  'torch-zip': 'a PyTorch archive with a pickle inside, which executes code when it is loaded',
  zip: 'a zip archive',
  gzip: 'a gzip archive',
  hdf5: 'an HDF5 file',
  safetensors: 'a safetensors file',
  npy: 'a NumPy array',
  ort: "a model in ONNX Runtime's own format",
  onnx: 'an ONNX model',
  text: 'plain text',
  unknown: 'something else',
}
const HINTS: Partial<Record<Content, string>> = {
  empty: 'copy or download the file again',
  zeros: 'copy or download the file again',
  'git-lfs-pointer': 'run `git lfs pull` in the repository and publish again',
  html: 'download the file again and check its size',
  xml: 'download the file again and check its size',
  pickle: 'export the network to ONNX',
  'torch-zip': 'export the network to ONNX',
  ort: 'publish the .onnx file that it was made from',
}

const starts = (head: Uint8Array, ...bytes: readonly number[]): boolean =>
  bytes.every((byte, i) => head[i] === byte)

/** @param head the first bytes of a file, {@link CONTENT_HEAD_BYTES} if it has as many */
export function guessContent(head: Uint8Array): Content {
  if (head.length === 0) return 'empty'
  if (head.every((byte) => byte === 0)) return 'zeros'
  if (starts(head, 0x50, 0x4b, 0x03, 0x04)) {
    return latin1(head).includes('/data.pkl') ? 'torch-zip' : 'zip'
  }
  if (starts(head, 0x89, 0x48, 0x44, 0x46)) return 'hdf5'
  if (starts(head, 0x1f, 0x8b)) return 'gzip'
  if (starts(head, 0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59)) return 'npy'
  // PROTO and a version of 2 to 5.
  if (head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5) return 'pickle'
  if (latin1(head.subarray(4, 8)) === 'ORTM') return 'ort'
  if (starts(head.subarray(2), 0, 0, 0, 0, 0, 0) && head[8] === 0x7b) return 'safetensors'
  const text = latin1(head).trimStart()
  if (text.startsWith('version https://git-lfs.github.com/spec/')) return 'git-lfs-pointer'
  if (/^(<!--[\s\S]*?-->\s*)?<(!doctype html|html|head|body)\b/i.test(text)) return 'html'
  if (text.startsWith('<?xml') || text.startsWith('<Error>')) return 'xml'
  // Field 1, a varint: ir_version, which every exporter writes first.
  if (head[0] === 0x08 && (head[1] ?? 0) > 0 && (head[1] ?? 0) < 0x20) return 'onnx'
  if (/^[{[]\s*["{[\d\]}]/.test(text)) return 'json'
  if (/^[\t\n\r\x20-\x7e\x80-\xff]*$/.test(text) && text.length > 3) return 'text'
  return 'unknown'
}

/** A sentence about the content, and what to do about it. */
export function describeContent(content: Content): { message: string; hint?: string } {
  const hint = HINTS[content]
  return { message: `this is ${NAMES[content]}`, ...(hint === undefined ? {} : { hint }) }
}

/** What is never a weights file, whatever its format. */
const NEVER: readonly Content[] = ['empty', 'zeros', 'git-lfs-pointer', 'html', 'xml', 'npy']
/** What else an ONNX file cannot be; the rest is for the scan to find out. */
const NEVER_ONNX: readonly Content[] = [
  ...NEVER,
  'json',
  'pickle',
  'torch-zip',
  'zip',
  'gzip',
  'hdf5',
  'safetensors',
  'ort',
]

/**
 * Checks the beginning of a weights file. Fails with WEIGHTS_CONTENT.
 * @param head as for {@link guessContent}
 */
export function checkWeights(format: WeightFormat, head: Uint8Array): Verdict<Content> {
  const content = guessContent(head)
  const never = format === 'onnx' ? NEVER_ONNX : NEVER
  if (!never.includes(content)) return accept(content)
  const { message, ...rest } = describeContent(content)
  return refuse('WEIGHTS_CONTENT', message, { ...rest, limit: format, got: content })
}

const latin1 = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes.subarray(0, CONTENT_HEAD_BYTES)) text += String.fromCharCode(byte)
  return text
}
