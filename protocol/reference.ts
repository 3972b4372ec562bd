/**
 * References: text that names a model or one record. docs/protocol.md, "References".
 *
 *   publisher/name  publisher/name@1.2.0  publisher/name@tag   a model of a publisher
 *   bafyrei...                                                 a record by its content id
 *   10.5281/zenodo.123  affable-shark                          an alias: a DOI or an old nickname
 *
 * What a publisher's part means (id, handle, petname, label) is for the registry. Percent-encoding
 * is the HTTP layer's.
 */
import { type Cid, codecOf, parseCid } from './cid.ts'
import { accept, type Failure, refuse, type Verdict } from './errors.ts'
import { MAX_ALIAS_CHARS, MAX_REFERENCE_CHARS } from './limits.ts'

/** A model's name within its publisher. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,63}$/
/** A publisher's short name, signed in its profile; not unique. */
export const LABEL_PATTERN = /^[a-z0-9-]{1,40}$/
/** Begins with a digit, which sets it apart from a tag. */
export const VERSION_PATTERN = /^[0-9][0-9A-Za-z.+_-]{0,63}$/
/** Begins with a letter. `latest` is never written: it is found. */
export const TAG_PATTERN = /^[a-z][a-z0-9._-]{0,39}$/
/** A domain name; the last part has a letter first, which sets it apart from a DOI's prefix. */
export const HANDLE_PATTERN =
  /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/

const DOI = /^(?:https?:\/\/doi\.org\/|doi:)?10\.[0-9]{4,9}\//

export type Reference =
  | {
      readonly kind: 'model'
      /** Id, handle, petname or label. */
      readonly publisher: string
      readonly name: string
      readonly version: string | null
      /** `latest` reads as null, like no tag. At most one of `version` and `tag` is there. */
      readonly tag: string | null
    }
  | { readonly kind: 'record'; readonly cid: Cid }
  | { readonly kind: 'alias'; readonly text: string }

/** Fails with REF, or CID_TEXT for a misspelled content id. */
export function parseReference(text: string): Verdict<Reference> {
  if (/^ba[a-z2-7]{57}$/.test(text)) {
    const cid = parseCid(text)
    if (!cid.ok) return cid
    return codecOf(cid.value) === 'dag-cbor'
      ? accept({ kind: 'record', cid: cid.value })
      : bad(text, 'the content id of a file, not of a record')
  }
  const shown = checkShown(text, MAX_REFERENCE_CHARS)
  if (!shown.ok) return bad(text, shown.message)
  const slash = text.indexOf('/')
  if (slash < 0 || DOI.test(text)) {
    const alias = checkAlias(text)
    return alias.ok ? accept({ kind: 'alias', text }) : bad(text, alias.message)
  }

  const publisher = text.slice(0, slash)
  const at = text.indexOf('@', slash)
  const name = text.slice(slash + 1, at < 0 ? undefined : at)
  const suffix = at < 0 ? null : text.slice(at + 1)
  if (!isPublisher(publisher)) return bad(text, 'not a publisher')
  if (!NAME_PATTERN.test(name)) return bad(text, 'not a model name')
  const model = { kind: 'model', publisher, name } as const
  if (suffix === null || suffix === 'latest') return accept({ ...model, version: null, tag: null })
  if (VERSION_PATTERN.test(suffix)) return accept({ ...model, version: suffix, tag: null })
  if (TAG_PATTERN.test(suffix)) return accept({ ...model, version: null, tag: suffix })
  return bad(text, 'not a version or tag')
}

/** The text that {@link parseReference} reads as this reference. */
export function formatReference(reference: Reference): string {
  switch (reference.kind) {
    case 'model': {
      const { publisher, name, version, tag } = reference
      const suffix = version ?? tag
      return `${publisher}/${name}${suffix === null ? '' : `@${suffix}`}`
    }
    case 'record':
      return reference.cid
    case 'alias':
      return reference.text
  }
}

/** Whether text may stand for a publisher: an id, a handle, a petname or a label. */
export const isPublisher = (text: string): boolean =>
  LABEL_PATTERN.test(text) || HANDLE_PATTERN.test(text) || parseCid(text).ok

/** Fails with NAME. */
export const parseName = (text: string): Verdict<string> =>
  parse(text, NAME_PATTERN, 'a model name', 'a-z 0-9 . _ - from a letter or digit, at most 64')

/** Fails with NAME. */
export const parseLabel = (text: string): Verdict<string> =>
  parse(text, LABEL_PATTERN, 'a label', 'a-z 0-9 -, at most 40')

/** Fails with NAME. */
export const parseHandle = (text: string): Verdict<string> =>
  parse(text, HANDLE_PATTERN, 'a handle', 'a domain name in lower case, e.g. zoo.example.org')

/** Fails with NAME. */
export const parseVersion = (text: string): Verdict<string> =>
  parse(text, VERSION_PATTERN, 'a version', 'a digit, then 0-9 A-Z a-z . + _ -, at most 64')

/** A tag that may be written; `latest` may not. Fails with NAME. */
export const parseTag = (text: string): Verdict<string> =>
  text === 'latest'
    ? refuse('NAME', 'the tag latest is found, not set', { got: text })
    : parse(text, TAG_PATTERN, 'a tag', 'a-z 0-9 . _ - from a letter, at most 40')

/** Text that is shown to people and compared: NFC, visible, no blanks around it. */
export function checkAlias(text: string): Verdict<string> {
  const shown = checkShown(text, MAX_ALIAS_CHARS)
  if (!shown.ok) return shown
  return text === '' || text.trim() !== text
    ? refuse('NAME', 'empty, or blanks around it', { got: text.slice(0, 80) })
    : shown
}

/** Controls, line breaks, bidirectional controls, byte order marks and halves of surrogate pairs. */
const UNSHOWABLE = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/u

/**
 * Checks text that is shown to people: at most `max` characters (code points), in normal form C,
 * and without what could make a terminal or a page show something else. Fails with LIMIT, NAME or
 * NFC.
 */
export function checkShown(text: string, max: number): Verdict<string> {
  const length =
    text.length <= max ? text.length : text.length > 2 * max ? text.length : [...text].length
  if (length > max) return refuse('LIMIT', 'text is too long', { limit: max, got: length })
  if (UNSHOWABLE.test(text)) {
    return refuse('NAME', 'text has control or direction characters', {
      got: JSON.stringify(text).slice(0, 80),
    })
  }
  return text.normalize('NFC') === text
    ? accept(text)
    : refuse('NFC', 'text is not in Unicode normal form C', { got: text.slice(0, 80) })
}

/**
 * A name or label of a title: `Nuclei U-Net (2D)` gives `nuclei-u-net-2d`. Empty where nothing of
 * the title can stay.
 */
export const slugOf = (title: string): string =>
  title
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 41)
    .replace(/^-/, '')
    .slice(0, 40)
    .replace(/-$/, '')

function parse(text: string, pattern: RegExp, what: string, limit: string): Verdict<string> {
  return pattern.test(text)
    ? accept(text)
    : refuse('NAME', `not ${what}`, { limit, got: JSON.stringify(text.slice(0, 80)) })
}

const bad = (text: string, message: string): Failure =>
  refuse('REF', message, {
    got: JSON.stringify(text.slice(0, 120)),
    hint: 'write publisher/name, publisher/name@1.2.0, a record id, a DOI or an old nickname',
  })
