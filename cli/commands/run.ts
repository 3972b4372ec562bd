/** `zoarium run`: a model on an image, here or at another node. */
import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { RouteView } from '../../protocol/api.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import { MAX_INFER_BYTES } from '../../protocol/limits.ts'
import type { InferResult } from '../client.ts'
import { formatBytes, formatMs } from '../format.ts'
import { formatOf, mediaTypeOfImage, OUTPUT_FORMATS, resultPath } from '../image-file.ts'
import type { Output } from '../output.ts'
import { type Cli, type Session, wordOf } from '../session.ts'

interface Options {
  readonly out?: string
  readonly on?: string
  readonly output?: (typeof OUTPUT_FORMATS)[number]
  readonly explain?: boolean
}

export function addRun({ program, session }: Cli): void {
  program
    .command('run <ref> <image>')
    .description('run a model on an image: PNG, TIFF or npy')
    .option(
      '-o, --out <file>',
      'the result; its extension is the format (default: IMAGE.result.EXT)',
    )
    .option('--on <node>', 'local, nearest, or one node by PeerId or publisher (default: local)')
    .option('--output <format>', OUTPUT_FORMATS.join(', '), wordOf(OUTPUT_FORMATS))
    .option('--explain', 'show the candidates and their predicted times')
    .action((ref: string, image: string, options: Options) => run(session(), ref, image, options))
}

async function run(opened: Session, ref: string, image: string, options: Options): Promise<void> {
  const { client, output } = opened
  const { out } = options
  if (out !== undefined && resolve(out) === resolve(image)) {
    throw new ZoariumError('USAGE', 'the result would replace the image', { field: '--out' })
  }
  const format = options.output ?? (out === undefined ? null : formatOf(out))
  const bytes = await readImage(image)
  const model = await client.resolve(ref)
  const route = options.explain === true ? await client.route(model.record, bytes.length) : null
  if (route !== null && !output.isJson) printRoute(output, route)

  const started = performance.now()
  const result = await client.infer(model.record, {
    bytes,
    mediaType: mediaTypeOfImage(image),
    on: options.on ?? null,
    output: format,
  })
  const ms = performance.now() - started
  const path = out ?? resultPath(image, result.mediaType)
  await write(path, result.body)
  const { body, ...described } = result
  const document = { ref: model.ref, out: path, bytes: body.length, ms, ...described }
  output.result(route === null ? document : { ...document, route }, () =>
    printResult(output, path, ms, result),
  )
}

async function readImage(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path)
    if (size > MAX_INFER_BYTES) {
      throw new ZoariumError('LIMIT', 'the image file is too large', {
        field: path,
        limit: MAX_INFER_BYTES,
        got: size,
      })
    }
    return await readFile(path)
  } catch (error) {
    if (error instanceof ZoariumError) throw error
    throw new ZoariumError('INPUT', "couldn't read the image", {
      field: path,
      got: (error as NodeJS.ErrnoException).code ?? 'unreadable',
    })
  }
}

/** Whole or not at all. */
async function write(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}.${randomUUID()}.part`
  try {
    await writeFile(partial, bytes)
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw new ZoariumError('STORE', "couldn't write the result", {
      field: path,
      got: (error as NodeJS.ErrnoException).code ?? 'unwritable',
    })
  }
}

function printResult(output: Output, path: string, ms: number, result: InferResult): void {
  const { outputs, node, tried, timings, notes, body } = result
  output.line(`${path}  ${formatBytes(body.length)}`)
  const stages = Object.entries(timings).map(([stage, time]) => `${stage} ${formatMs(time)}`)
  output.fields([
    ...outputs.map(
      ({ id, axes, shape, dtype }) =>
        [
          'output',
          `${id}  ${axes.map((axis, i) => `${axis} ${shape[i]}`).join(' x ')}  ${dtype}`,
        ] as const,
    ),
    ['node', tried.length > 1 ? `${node}, after ${tried.slice(0, -1).join(', ')}` : node],
    ['time', `${formatMs(ms)}${stages.length === 0 ? '' : `: ${stages.join(', ')}`}`],
    ...notes.map((note) => ['note', note] as const),
  ])
}

function printRoute(output: Output, route: readonly RouteView[]): void {
  const ms = (value: number | undefined): string => (value === undefined ? '-' : formatMs(value))
  output.table(
    ['NODE', 'PUBLISHER', 'UPLOAD', 'RTT', 'QUEUE', 'COLD', 'COMPUTE', 'TOTAL', 'WHY NOT'],
    route.map(({ node, publisher, cost, reason }) => [
      node,
      publisher?.petname ?? publisher?.label ?? '-',
      ms(cost?.uploadMs),
      ms(cost?.rttMs),
      ms(cost?.queueMs),
      ms(cost?.coldMs),
      ms(cost?.computeMs),
      ms(cost?.totalMs),
      reason ?? '',
    ]),
  )
}
