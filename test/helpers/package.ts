/** Makes small complete model packages for tests. */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { ZipFile } from 'yazl'
import { identityModel } from './onnx-model.ts'

/** A card as plain data, to be changed by tests. */
// biome-ignore lint/suspicious/noExplicitAny: tests bend cards into every wrong shape
export type CardData = any

export interface ExampleOptions {
  /** Default `Example model`. */
  readonly name?: string
  readonly version?: string
  /** Default: Identity on (batch, 1, y, x), so that output equals input. */
  readonly onnx?: Uint8Array
  /** Height and width of the test tensors, default 16; the card's sizes are 8 + n * 8. */
  readonly size?: number
  /** What the network computes, for the test output. */
  readonly compute?: (x: number) => number
  /** Changes the card before it is written. */
  readonly card?: (card: CardData) => void
  /** Further or other files; null leaves one out. */
  readonly files?: Readonly<Record<string, string | Uint8Array | null>>
}

/** The files of a minimal valid package of format 0.5: path -> bytes. */
export function exampleFiles(options: ExampleOptions = {}): Map<string, Uint8Array> {
  const { size = 16, compute = (x) => x, onnx = identityModel() } = options
  const pixels = Float32Array.from({ length: size * size }, (_, i) => Math.fround(Math.sin(i / 7)))
  const input = npy('<f4', [1, 1, size, size], pixels)
  const output = npy('<f4', [1, 1, size, size], pixels.map(compute))
  const card = exampleCard({
    onnx: sha256(onnx),
    input: sha256(input),
    output: sha256(output),
  })
  if (options.name !== undefined) card.name = options.name
  if (options.version !== undefined) card.version = options.version
  options.card?.(card)

  const files = new Map<string, Uint8Array>([
    ['rdf.yaml', utf8(stringify(card))],
    ['weights.onnx', onnx],
    ['test_input.npy', input],
    ['test_output.npy', output],
    ['README.md', utf8('# Example model\n\n# Validation\n\nNone; it is for tests.\n')],
  ])
  for (const [name, content] of Object.entries(options.files ?? {})) {
    if (content === null) files.delete(name)
    else files.set(name, typeof content === 'string' ? utf8(content) : content)
  }
  return files
}

/** Writes a minimal valid package into `dir` and returns its files. */
export async function writeExamplePackage(
  dir: string,
  options: ExampleOptions = {},
): Promise<Map<string, Uint8Array>> {
  const files = exampleFiles(options)
  await writeFiles(dir, files)
  return files
}

export async function writeFiles(
  dir: string,
  files: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  for (const [name, content] of files) {
    const file = path.join(dir, name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, content)
  }
}

/** The files as a zip archive. */
export async function zipOf(files: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const zip = new ZipFile()
  for (const [name, content] of files) zip.addBuffer(Buffer.from(content), name)
  zip.end()
  return buffer(zip.outputStream)
}

/** A card of format 0.5 for a network on (batch, 1, y, x) of float32. */
export function exampleCard(hashes: { onnx: string; input: string; output: string }): CardData {
  const space = (id: string, size: unknown) => ({ type: 'space', id, size })
  return {
    format_version: '0.5.4',
    type: 'model',
    name: 'Example model',
    description: 'A model for tests.',
    authors: [{ name: 'Ada Example', affiliation: 'Example Institute' }],
    cite: [{ text: 'Example et al.', doi: '10.1234/example' }],
    license: 'MIT',
    tags: ['example'],
    version: '1.0.0',
    documentation: 'README.md',
    inputs: [
      {
        id: 'raw',
        axes: [
          { type: 'batch' },
          { type: 'channel', channel_names: ['raw'] },
          space('y', { min: 8, step: 8 }),
          space('x', { min: 8, step: 8 }),
        ],
        test_tensor: { source: 'test_input.npy', sha256: hashes.input },
      },
    ],
    outputs: [
      {
        id: 'result',
        axes: [
          { type: 'batch' },
          { type: 'channel', channel_names: ['result'] },
          space('y', { tensor_id: 'raw', axis_id: 'y' }),
          space('x', { tensor_id: 'raw', axis_id: 'x' }),
        ],
        test_tensor: { source: 'test_output.npy', sha256: hashes.output },
      },
    ],
    weights: { onnx: { source: 'weights.onnx', sha256: hashes.onnx, opset_version: 17 } },
  }
}

/** Copies of a card, each with a value of another kind at one place. */
export function replacedIn(card: CardData): fc.Arbitrary<CardData> {
  const odd = fc.constantFrom(null, '', [], {}, [null], -1, 1e308, 'x', true, [[]], { source: 1 })
  const value = fc.oneof(odd, fc.jsonValue({ maxDepth: 2 }))
  return fc.tuple(fc.constantFrom(...placesIn(card)), value).map(([place, replacement]) => {
    const copy = structuredClone(card)
    let parent = copy
    for (const key of place.slice(0, -1)) parent = parent[key]
    parent[place.at(-1) ?? ''] = replacement
    return copy
  })
}

/** The path of every value in plain data. */
function placesIn(data: unknown, prefix: readonly string[] = []): string[][] {
  if (typeof data !== 'object' || data === null) return []
  return Object.entries(data).flatMap(([key, value]) => [
    [...prefix, key],
    ...placesIn(value, [...prefix, key]),
  ])
}

/** A file in numpy's format 1.0. `type` is numpy's own, e.g. `<f4`, `|u1`. */
export function npy(type: string, shape: readonly number[], data: ArrayBufferView): Uint8Array {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${dims}), }`
  // The header, 10 bytes of preamble included, ends in a newline at a multiple of 64.
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`
  const preamble = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0, 0])
  preamble.writeUInt16LE(header.length, 8)
  const body = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return new Uint8Array(Buffer.concat([preamble, utf8(header), body]))
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
