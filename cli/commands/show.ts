/** `zoarium show`: one model version, or any other record. */
import type { ModelView, RecordView } from '../../protocol/api.ts'
import { parseCid } from '../../protocol/cid.ts'
import { formatBytes, formatHandle, WITHDRAWN } from '../format.ts'
import type { Output } from '../output.ts'
import type { Cli } from '../session.ts'

export function addShow({ program, session }: Cli): void {
  program
    .command('show <ref>')
    .description('show a model version: files, licence, inputs, where it comes from')
    .action(async (ref: string) => {
      const { client, output } = session()
      const id = parseCid(ref)
      const view = await client.record(id.ok ? id.value : (await client.resolve(ref)).record)
      output.result(view, () =>
        'files' in view ? printModel(output, view) : printRecord(output, view),
      )
    })
}

function printModel(output: Output, model: ModelView): void {
  const { publisher, card, runnable } = model
  output.line(`${model.ref}  ${model.title}`)
  if (model.description !== '') output.line(`  ${model.description}`)
  output.line()
  output.fields([
    ['publisher', `${publisher.displayName ?? publisher.label ?? '-'}  ${publisher.id}`],
    ...(publisher.handle === null ? [] : [['handle', formatHandle(publisher)] as const]),
    ['record', model.record],
    ['root', model.root],
    ['published', model.published],
    ['licence', model.license ?? 'none stated'],
    ['tags', model.tags.join(', ') || '-'],
    ['authors', card.authors.map((author) => author.name).join(', ') || '-'],
    ['inputs', model.inputs.join('; ')],
    ['weights', model.weights.join(', ')],
    ['tested', model.tested],
    ['here', hereText(model)],
    ['copies', copiesText(model)],
    ['runs here', runnable.here ? 'yes' : `no: ${runnable.reason ?? 'unknown'}`],
    ...(model.audience === null ? [] : [['private to', audienceText(model.audience)] as const]),
    ...model.withdrawals.map(
      ({ verb, reason, note, published, restored }) =>
        [
          'withdrawn',
          `${verb}, ${published}: ${reason}${note === '' ? '' : `: ${note}`}${restored ? ' (restored)' : ''}`,
        ] as const,
    ),
    ...model.sameFiles.map(
      ({ ref, withdrawn }) =>
        ['same files', withdrawn === null ? ref : `${ref} (${WITHDRAWN[withdrawn]})`] as const,
    ),
    ...(model.aliases.length === 0 ? [] : [['aliases', model.aliases.join(', ')] as const]),
    ['versions', model.versions.map(({ version }) => version).join(', ')],
  ])
  output.line()
  output.table(
    ['FILE', 'ROLE', 'SIZE', 'HELD', 'SHA256'],
    model.files.map((file) => [
      file.path,
      file.role,
      formatBytes(file.size),
      file.held ? 'yes' : 'no',
      file.sha256,
    ]),
  )
  for (const { text, doi, url } of card.cite)
    output.line(`cite: ${[text, doi ?? url].filter(Boolean).join(' ')}`)
}

const audienceText = (audience: readonly string[]): string =>
  ['its own publisher', ...audience].join(', ')

function copiesText({ replicas, floor, holders, pinned }: ModelView): string {
  if (replicas === null) return 'not told of a private model'
  const names = holders.map((each) => each.petname ?? each.label ?? each.id).join(', ')
  const few = replicas < floor ? `, fewer than ${floor}: at risk` : ''
  return `${replicas}${names === '' ? '' : ` (${names})`}${few}${pinned ? '; pinned here' : ''}`
}

function hereText({ files, bytes }: ModelView): string {
  const missing = files.filter((file) => !file.held)
  if (missing.length === 0) return `all files, ${formatBytes(bytes)}`
  const size = missing.reduce((sum, file) => sum + file.size, 0)
  return `${files.length - missing.length} of ${files.length} files, ${formatBytes(size)} to fetch`
}

function printRecord(output: Output, record: RecordView): void {
  output.line(`${record.kind} record ${record.record}`)
  output.fields([
    ['publisher', record.publisher],
    ['key', record.key],
    ['position', `${record.position.epoch}/${record.position.seq}`],
    ['published', record.published],
    ['body', JSON.stringify(record.body)],
  ])
}
