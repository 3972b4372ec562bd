/** `zoarium publish`: a package becomes a signed model version. */
import type { PublishView } from '../../protocol/api.ts'
import { WEIGHT_FORMATS, type WeightFormat } from '../../protocol/model-description.ts'
import { count, formatBytes } from '../format.ts'
import type { Output } from '../output.ts'
import { prepareUpload } from '../package-upload.ts'
import { type Progress, startProgress } from '../progress.ts'
import { type Cli, type Session, wordOf } from '../session.ts'

interface Options {
  readonly name?: string
  readonly version?: string
  readonly weights?: readonly WeightFormat[]
  readonly untested?: boolean
  readonly dryRun?: boolean
  readonly private?: boolean
}

export function addPublish({ program, session }: Cli): void {
  program
    .command('publish <path>')
    .description('publish a BioImage.IO package: a folder, a .zip or an rdf.yaml')
    .option('--name <name>', 'name of the model (default: from the card)')
    .option('--version <version>', 'its version (default: from the card)')
    .option(
      '--weights <formats>',
      `only these, comma-separated: ${WEIGHT_FORMATS.join(', ')}`,
      (value) => value.split(',').map(wordOf(WEIGHT_FORMATS)),
    )
    .option('--untested', "do not run the card's own test")
    .option('--private', 'for the audience of the private log alone: see zoarium keys confide')
    .option('--dry-run', 'check everything, publish nothing')
    .action((path: string, options: Options) => publish(session(), path, options))
}

async function publish(
  { client, output }: Session,
  path: string,
  { name, version, weights, untested, dryRun, private: isPrivate }: Options,
): Promise<void> {
  const { body, size } = await prepareUpload(path, weights ?? null)
  const progress = startProgress(output, 'sending', size)
  try {
    const view = await client.publish({
      body: counted(body, progress),
      size,
      query: { name, version, weights: weights?.join(','), untested, dryRun, private: isPrivate },
    })
    progress.stop()
    output.result(view, () => printPublication(output, view))
    for (const { field, line, code, message } of view.warnings) {
      const place = [field, line].filter((part) => part !== undefined).join(':')
      output.note(`warning: ${place}  ${code}  ${message}`)
    }
  } finally {
    progress.stop()
  }
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    progress.add(chunk.length)
    yield chunk
  }
  // What the node now checks and runs takes its own time.
  progress.stop()
}

function printPublication(output: Output, view: PublishView): void {
  output.line(view.dryRun ? `${view.ref} could be published` : `published ${view.ref}`)
  output.fields([
    ...(view.record === null ? [] : [['record', view.record] as const]),
    ...(view.root === null ? [] : [['root', view.root] as const]),
    ['files', `${count(view.files.length, 'file')}, ${formatBytes(view.bytes)}`],
    ['tested', testText(view)],
  ])
}

const testText = ({ tested, test }: PublishView): string =>
  test === null
    ? tested
    : `${tested}: worst difference ${test.worstAbsolute.toPrecision(2)}, ${test.mismatchedPerMillion} of a million mismatched, ${Math.round(test.ms)} ms`
