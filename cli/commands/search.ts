/** `zoarium search`: what this node lists; an empty answer says what to do. */
import type { ModelPageView, ModelSummary, PublisherView } from '../../protocol/api.ts'
import { LABEL_PATTERN } from '../../protocol/reference.ts'
import { count, markHandle, WITHDRAWN } from '../format.ts'
import { type Cli, numberFrom, type Session } from '../session.ts'

/** Longest title in the table, in characters. */
const MAX_TITLE_CHARS = 44
/** Most publishers that an empty answer names. */
const MAX_UNLISTED = 10

interface Options {
  readonly axes?: string
  readonly channels?: number
  readonly dtype?: string
  readonly tag?: string
  readonly license?: string
  readonly publisher?: string
  readonly sort?: string
  readonly limit?: number
  readonly cursor?: string
}

export function addSearch({ program, session }: Cli): void {
  program
    .command('search [text]')
    .description('search the models that this node lists')
    .option('--axes <axes>', 'spatial axes of an input, e.g. yx or zyx')
    .option('--channels <n>', 'channels of an input', numberFrom(1))
    .option('--dtype <dtype>', 'data type of an input, e.g. uint16')
    .option('--tag <tag>', 'a tag of the card')
    .option('--license <id>', 'an SPDX licence id')
    .option('--publisher <publisher>', 'id, verified handle, label or petname')
    .option('--sort <order>', 'relevance, newest or name')
    .option('--limit <n>', 'rows at most (default: 20)', numberFrom(1))
    .option('--cursor <cursor>', 'go on where the answer before ended')
    .action(async (text: string | undefined, options: Options) => {
      const opened = session()
      const page = await opened.client.search({ q: text, ...options })
      const isFiltered = text !== undefined || Object.keys(options).length > 0
      const advice = page.items.length === 0 ? await adviceFor(opened, page, isFiltered) : []
      opened.output.result(page, () => printPage(opened, page))
      for (const line of advice) opened.output.note(line)
    })
}

function printPage({ output }: Session, page: ModelPageView): void {
  if (page.items.length === 0) return
  // Few publishers have one; the column is there where it says something.
  const hasHandle = page.items.some(({ publisher }) => publisher.handle !== null)
  output.table(
    ['REF', 'TITLE', 'LICENSE', 'HERE', ...(hasHandle ? ['HANDLE'] : [])],
    page.items.map((model) => [
      model.audience === null ? model.ref : `${model.ref} (private)`,
      shorten(model.title),
      model.license ?? '-',
      hereOf(model),
      ...(hasHandle ? [markHandle(model.publisher)] : []),
    ]),
  )
  if (page.next !== null) {
    output.note(`${page.items.length} of ${page.total}; more with --cursor ${page.next}`)
  }
}

function hereOf({ runnable, held, withdrawn }: ModelSummary): string {
  if (withdrawn !== null) return WITHDRAWN[withdrawn]
  if (runnable.here) return 'runs'
  return held ? 'held' : 'listed'
}

const shorten = (title: string): string =>
  title.length <= MAX_TITLE_CHARS ? title : `${title.slice(0, MAX_TITLE_CHARS - 1)}…`

async function adviceFor(
  { client }: Session,
  page: ModelPageView,
  isFiltered: boolean,
): Promise<readonly string[]> {
  if (page.unlisted.length > 0) {
    const shown = page.unlisted.slice(0, MAX_UNLISTED)
    const more = page.unlisted.length - shown.length
    return [
      `No model${isFiltered ? ' fits' : ' is listed yet'}. ${count(page.unlisted.length, 'publisher')} in reach ${page.unlisted.length === 1 ? 'has' : 'have'} no trust rule here; to list the models of one:`,
      ...shown.map(
        (publisher) =>
          `  zoarium trust add ${nameOf(publisher, page.unlisted)} list${publisher.displayName === null ? '' : `   # ${publisher.displayName}`}`,
      ),
      ...(more > 0 ? [`  and ${more} more: zoarium trust list`] : []),
    ]
  }
  const peers = await client.peers()
  if (!peers.some((peer) => peer.connected)) {
    return [
      `No model${isFiltered ? ' fits' : ' is here yet'}, and no other node is connected. To connect to one:`,
      '  zoarium peers add MULTIADDR   # `zoarium status` on the other node prints its own',
    ]
  }
  return [
    isFiltered
      ? 'No model fits. Search with fewer words or filters.'
      : 'No model is here yet. Publish one with `zoarium publish PATH`.',
  ]
}

/** Its label where that is unique and safe to paste into a shell, else its id. */
function nameOf({ id, label }: PublisherView, all: readonly PublisherView[]): string {
  const isUnique = all.filter((other) => other.label === label).length === 1
  return label !== null && isUnique && LABEL_PATTERN.test(label) && !label.startsWith('-')
    ? label
    : id
}
