/** The part of a card that is about the model as a work: names, people, citations, licence. */
import type { Field } from './card-field.ts'
import type { CardFiles } from './card-files.ts'
import type { Author, Citation, ModelDescription } from './model-description.ts'

/** What cards of 0.4 and 0.5 have alike. */
export const ABOUT_FIELDS = [
  'format_version',
  'type',
  'name',
  'description',
  'id',
  'id_emoji',
  'icon',
  'version',
  'version_number',
  'license',
  'tags',
  'authors',
  'cite',
  'documentation',
  'covers',
  'attachments',
  'git_repo',
  'links',
  'badges',
  'uploader',
  'maintainers',
  'packaged_by',
  'timestamp',
  'training_data',
  'parent',
  'run_mode',
  'config',
  'inputs',
  'outputs',
  'weights',
] as const

type About = Pick<
  ModelDescription,
  | 'name'
  | 'description'
  | 'id'
  | 'version'
  | 'license'
  | 'tags'
  | 'authors'
  | 'cite'
  | 'documentation'
  | 'covers'
>

const MAX_NAME_CHARS = 128
const MAX_DESCRIPTION_CHARS = 1024
const MAX_LABEL_CHARS = 256
const DOI = /^10\.[0-9]{4}.+$/
const DOI_ADDRESS = /^(https?:\/\/(dx\.)?doi\.org\/|doi:\s*)/i
const ID = /^[a-z0-9_.-]+(\/[a-z0-9_.-]+)*$/
const NO_CONTROLS = /^[^\p{Cc}]*$/u
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+!_-]*$/

export function readAbout(root: Field, files: CardFiles): About {
  const authors = [...root.at('authors').items().map(readPerson)]
  for (const list of ['maintainers', 'packaged_by']) root.at(list).items().map(readPerson)
  readIcon(root.at('icon'), files)
  if (root.at('run_mode').isGiven) {
    root.at('run_mode').warn('a special run mode is not supported; the model is run as it is')
  }
  return {
    name:
      root.at('name').required().text({ min: 1, max: MAX_NAME_CHARS, pattern: NO_CONTROLS }) ?? '',
    description: root.at('description').text({ max: MAX_DESCRIPTION_CHARS }) ?? '',
    id: root.at('id').text({ max: MAX_LABEL_CHARS, pattern: ID }),
    version: readVersion(root),
    license: readLicense(root.at('license'), files),
    tags: root
      .at('tags')
      .items()
      .map((tag) => tag.text({ max: MAX_LABEL_CHARS, pattern: NO_CONTROLS }))
      .filter((tag) => tag !== null),
    authors,
    cite: root.at('cite').items().map(readCitation),
    documentation: files.read(root.at('documentation'), 'documentation'),
    covers: root
      .at('covers')
      .items()
      .map((cover) => files.read(cover, 'cover'))
      .filter((cover) => cover !== null),
  }
}

/** Old cards, and some new ones, count versions in `version_number`. */
function readVersion(root: Field): string | null {
  const rule = { min: 1, max: 64, pattern: VERSION, says: 'not a version such as 1.2.0' }
  const old = root.at('version_number')
  const version = root.at('version').text(rule)
  if (!old.isGiven) return version
  if (version !== null) {
    old.warn('version_number is an old field; version is read')
    return version
  }
  const number = old.text(rule)
  if (number !== null) old.warn('version_number is an old field; it is read as version')
  return number
}

/** An SPDX id, or the file of another licence's text. */
function readLicense(field: Field, files: CardFiles): string | null {
  if (!field.isMap) return field.text({ min: 1, max: MAX_LABEL_CHARS, pattern: NO_CONTROLS })
  return files.read(field, 'other')?.source ?? null
}

/** One or two characters, an address, or a file. */
function readIcon(field: Field, files: CardFiles): void {
  if (field.isMap || (field.text() ?? '').includes('.')) files.read(field, 'other')
}

function readPerson(person: Field): Author {
  // Maintainers of 0.4 may be known by their account alone.
  const name = person.at('github_user').isGiven ? person.at('name') : person.at('name').required()
  const text = name.text({ max: MAX_LABEL_CHARS })
  if (text !== null && /[/\\]/.test(text)) name.error('a name may not have / or \\')
  const orcid = person.at('orcid')
  const digits = orcid.text()
  if (digits !== null && !isOrcid(digits))
    orcid.error('not a valid ORCID iD', { got: digits.slice(0, 80) })
  const affiliation = person.at('affiliation').text()
  return { name: text ?? '', affiliation, orcid: digits }
}

/** 16 digits, the last one a checksum: ISO 7064 MOD 11-2. */
function isOrcid(text: string): boolean {
  if (!/^\d{4}-?\d{4}-?\d{4}-?\d{3}[\dX]$/.test(text)) return false
  const digits = text.replaceAll('-', '')
  let sum = 0
  for (const digit of digits.slice(0, -1)) sum = ((sum + Number(digit)) * 2) % 11
  const check = (12 - sum) % 11
  return digits.endsWith(check === 10 ? 'X' : String(check))
}

function readCitation(entry: Field): Citation {
  const field = entry.at('doi')
  // Some exporters write an empty text for none.
  let doi = field.text() || null
  if (doi !== null && DOI_ADDRESS.test(doi)) {
    doi = doi.replace(DOI_ADDRESS, '')
    field.warn('a DOI is given as an address; it is read without it', { got: doi.slice(0, 80) })
  }
  if (doi !== null && !DOI.test(doi)) {
    field.error('a DOI begins with "10."', { got: doi.slice(0, 80) })
  }
  const url = entry.at('url').text()
  if (doi === null && url === null) entry.warn('a citation needs a doi or a url')
  return { text: entry.at('text').required().text() ?? '', doi, url }
}
