/** `zoarium pull`: the daemon fetches a model's files; with -o they are also written to a folder. */
import type { Cid } from '../../protocol/cid.ts'
import { ZoariumError } from '../../protocol/errors.ts'
import { count, formatBytes, formatMs } from '../format.ts'
import { saveModel } from '../model-folder.ts'
import { type Progress, startProgress } from '../progress.ts'
import type { Cli, Session } from '../session.ts'

export function addPull({ program, session }: Cli): void {
  program
    .command('pull <ref>')
    .description("fetch a model's files to this node")
    .option('-o, --out <folder>', 'also write the files there, each verified')
    .action(async (ref: string, options: { out?: string }) => {
      const opened = session()
      const { client, output } = opened
      const { record } = await client.resolve(ref)
      const pulled = await pullWithProgress(opened, record)
      const out = options.out
      const files = out === undefined ? null : await save(opened, record, out)
      output.result(out === undefined ? pulled : { ...pulled, out, files }, () => {
        output.line(
          pulled.fetched === 0
            ? `${pulled.ref} is here in full, ${formatBytes(pulled.bytes)}`
            : `${pulled.ref}: ${formatBytes(pulled.fetched)} fetched and verified in ${formatMs(pulled.ms)}`,
        )
        if (files !== null)
          output.line(`${count(files.length, 'file')} verified and written to ${out}`)
      })
    })
}

async function save(opened: Session, record: Cid, folder: string): Promise<readonly string[]> {
  const view = await opened.client.record(record)
  if (!('files' in view)) throw new ZoariumError('REF', 'that record is no model', { got: record })
  return saveModel(opened, view, folder)
}

/** The daemon tells of its progress by events while the request waits. */
async function pullWithProgress(opened: Session, record: Cid) {
  const { client, output } = opened
  const view = await client.record(record)
  const missing = 'files' in view ? view.files.filter((file) => !file.held) : []
  const total = missing.reduce((sum, file) => sum + file.size, 0)
  const progress = startProgress(output, 'fetching', total)
  const watching = new AbortController()
  if (output.stderr.isTTY === true && total > 0)
    void watch(opened, record, progress, watching.signal)
  try {
    return await client.pull(record)
  } finally {
    watching.abort()
    progress.stop()
  }
}

/** Follows `progress` events of one record: {record, path, done, size}, in bytes, for each file. */
async function watch(
  { client }: Session,
  record: Cid,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const done = new Map<unknown, number>()
  try {
    for await (const { type, data } of client.events(signal)) {
      if (type !== 'progress' || data.record !== record) continue
      done.set(data.path, Number(data.done))
      progress.set([...done.values()].reduce((sum, bytes) => sum + bytes, 0))
    }
  } catch {
    // Only the bar is lost; the pull itself reports its own failure.
  }
}
