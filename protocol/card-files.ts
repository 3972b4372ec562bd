/** Collects the files that a card names. */
import type { Field } from './card-field.ts'
import type { FileReference, FileRole, WeightFormat } from './model-description.ts'

const SHA256 = /^[0-9a-fA-F]{64}$/
/** Longer sources are no path that a package may hold and no address that anyone types. */
const MAX_SOURCE_CHARS = 2083

export class CardFiles {
  readonly list: FileReference[] = []

  /** A file given as its source alone or as `{source, sha256}`; null where it is not given. */
  read(field: Field, role: FileRole, weights: WeightFormat | null = null): FileReference | null {
    if (!field.isGiven) return null
    if (!field.isMap) return this.add(field, null, role, weights)
    field.closed(['source', 'sha256'])
    return this.readIn(field, role, weights)
  }

  /** A file whose `source` and `sha256` stand among other keys of a map. */
  readIn(parent: Field, role: FileRole, weights: WeightFormat | null = null): FileReference | null {
    return this.add(parent.at('source').required(), readSha256(parent.at('sha256')), role, weights)
  }

  /** @param sha256 64 lower-case hex digits, where the card states them */
  add(
    field: Field,
    sha256: string | null,
    role: FileRole,
    weights: WeightFormat | null,
  ): FileReference | null {
    const text = field.text({ min: 1, max: MAX_SOURCE_CHARS })
    if (text === null) return null
    return this.addNamed(field, text, sha256, role, weights)
  }

  /** A file whose name is a part of the field's text. */
  addNamed(
    field: Field,
    name: string,
    sha256: string | null,
    role: FileRole,
    weights: WeightFormat | null,
  ): FileReference {
    const { path, line } = field
    // `./a` and `a` are one file.
    const source = name.replace(/^(\.\/+)+(?=.)/, '')
    const reference = { source, sha256, role, weights, field: path, line }
    this.list.push(reference)
    return reference
  }
}

export function readSha256(field: Field): string | null {
  const text = field.text({ pattern: SHA256, says: 'a SHA-256 has 64 hex digits' })
  return text === null ? null : text.toLowerCase()
}
