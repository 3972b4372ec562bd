/**
 * A package: a card and the files that it names, read and checked whole before anything is kept.
 * Every problem is reported at once, each with the card's field and line.
 */
import { readCard } from '../protocol/card.ts'
import { findCard } from '../protocol/card-name.ts'
import {
  accept,
  assert,
  type Failure,
  type Issue,
  refuse,
  refuseAll,
  type Verdict,
} from '../protocol/errors.ts'
import { MAX_CARD_BYTES } from '../protocol/limits.ts'
import type {
  FileReference,
  ModelDescription,
  WeightFormat,
} from '../protocol/model-description.ts'
import { PackageCheck, type PackageFile, readFile } from './package-check.ts'
import type { PackageSource } from './package-source.ts'

export interface Package {
  readonly cardPath: string
  /** The card's bytes as they are. */
  readonly card: Uint8Array
  readonly description: ModelDescription
  /** By path, the card among them. */
  readonly files: readonly PackageFile[]
  readonly warnings: readonly Issue[]
}

export interface PackageOptions {
  /** The card's name, where it is not to be found by itself. */
  readonly rdf?: string
  /** Weight formats to take; files of the others are left out. Default: all. */
  readonly weights?: readonly WeightFormat[]
}

/** Which finding names the failure where there are several: what is unsafe, then what is broken. */
const GRAVITY: readonly Issue['code'][] = [
  'PATH',
  'NFC',
  'NAME_CLASH',
  'ZIP',
  'LIMIT',
  'EXTERNAL_DATA',
  'WEIGHTS_CONTENT',
  'MODEL_PARSE',
  'MODEL_UNSUPPORTED',
  'MODEL_MEMORY',
  'FILE_HASH',
  'FILE_MISSING',
  'FILE_REMOTE',
]

/**
 * Reads the card, then every file that it names, once.
 * @throws ZoariumError STORE where a file is there and cannot be read
 */
export async function readPackage(
  source: PackageSource,
  options: PackageOptions = {},
): Promise<Verdict<Package>> {
  const named = options.rdf ?? source.card
  const top = source.files.map((file) => file.path).filter((path) => !path.includes('/'))
  const found = named === null ? findCard(top) : accept(named)
  if (!found.ok) return found
  const cardPath = found.value
  const card = await readCardBytes(source, cardPath)
  if (!card.ok) return card
  const read = readCard(card.value)
  if (!read.ok) return read

  const { description, warnings } = read.value
  const selected = selectFiles(description, options.weights)
  if (!selected.ok) return selected
  const check = new PackageCheck(source, selected.value)
  await check.run(cardPath)
  if (check.issues.length > 0) {
    return failure(check.issues, wayOut(description, check, options.weights))
  }
  return accept({
    cardPath,
    card: card.value,
    description,
    files: check.files.sort((a, b) => (a.path < b.path ? -1 : 1)),
    warnings,
  })
}

async function readCardBytes(source: PackageSource, path: string): Promise<Verdict<Uint8Array>> {
  const file = source.files.find((each) => each.path === path)
  if (file === undefined) {
    return refuse('NOT_A_PACKAGE', 'the card is not at the top of the package', { field: path })
  }
  if (file.size > MAX_CARD_BYTES) {
    return refuse('LIMIT', 'the card is too large', {
      field: path,
      limit: MAX_CARD_BYTES,
      got: file.size,
    })
  }
  const digest = await readFile(source, path, file.size)
  return digest.ok ? accept(digest.value.kept) : digest
}

/** The files to take: all but those of weight formats that are not wanted. */
function selectFiles(
  description: ModelDescription,
  weights: readonly WeightFormat[] | undefined,
): Verdict<readonly FileReference[]> {
  if (weights === undefined) return accept(description.files)
  const formats = description.weights.map((entry) => entry.format)
  const lacking = weights.find((format) => !formats.includes(format))
  if (lacking !== undefined || weights.length === 0) {
    return refuse('WEIGHTS', 'the card has no such weights', {
      field: 'weights',
      limit: formats.join(', '),
      got: lacking ?? 'none',
    })
  }
  return accept(
    description.files.filter((file) => file.weights === null || weights.includes(file.weights)),
  )
}

/** How to publish all the same: the weight formats whose files are all here and right. */
function wayOut(
  description: ModelDescription,
  check: PackageCheck,
  weights: readonly WeightFormat[] | undefined,
): string | null {
  const brokenFormats = new Set([...check.broken].map((reference) => reference.weights))
  // A file that belongs to no format is needed whatever is chosen.
  if (!check.isWhole || brokenFormats.has(null)) return null
  const complete = description.weights
    .map((entry) => entry.format)
    .filter((format) => !brokenFormats.has(format) && (weights?.includes(format) ?? true))
  if (complete.length === 0) return null
  const verb = complete.length === 1 ? 'its files are' : 'their files are'
  return `publish with --weights ${complete.join(',')}: ${verb} all here`
}

/** The gravest finding first, and what to do. */
function failure(issues: readonly Issue[], hint: string | null): Failure {
  const rank = (issue: Issue): number => {
    const place = GRAVITY.indexOf(issue.code)
    return place === -1 ? GRAVITY.length : place
  }
  const [first, ...rest] = issues.toSorted((a, b) => rank(a) - rank(b))
  assert(first !== undefined, 'a failure has a finding')
  const refused = refuseAll([first, ...rest])
  return hint === null ? refused : { ...refused, hint }
}
