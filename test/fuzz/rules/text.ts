/** Content ids, references and names, as the grammars of docs/protocol.md have them. */
import { CID } from 'multiformats/cid'
import type { Fault } from './encoding.ts'
import { shown } from './grammar.ts'

const isA =
  (form: RegExp, what: string) =>
  (text: string): Fault =>
    form.test(text) ? null : `not ${what}`

export const nameFault = isA(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'a name')
export const versionFault = isA(/^[0-9][0-9A-Za-z.+_-]{0,63}$/, 'a version')
export const tagFault = isA(/^(?!latest$)[a-z][a-z0-9._-]{0,39}$/, 'a tag')
export const labelFault = isA(/^[a-z0-9-]{1,40}$/, 'a label')

export function handleFault(text: string): Fault {
  const parts = text.split('.')
  if (text.length > 253 || parts.length < 2) return 'too long, or one part'
  const isBad = parts.some(
    (part) => !/^[a-z0-9-]{1,63}$/.test(part) || part.startsWith('-') || part.endsWith('-'),
  )
  return isBad || !/^[a-z]/.test(parts.at(-1) ?? '') ? 'a part that no domain name has' : null
}

export const aliasFault = (text: string): Fault =>
  shown(256)(text) ?? (text === '' || text !== text.trim() ? 'empty, or blanks around it' : null)

/** By the general library: what it reads, in the one spelling, and then the profile. */
export function cidFault(text: string): Fault {
  if (!/^b[a-z2-7]{58}$/.test(text)) return 'not 59 characters of base32'
  let cid: CID
  try {
    cid = CID.parse(text)
  } catch {
    return 'no content id'
  }
  if (cid.toString() !== text) return 'another spelling'
  const { version, code, multihash } = cid
  const isProfile = version === 1 && multihash.code === 0x12 && multihash.digest.length === 32
  return isProfile && [0x55, 0x70, 0x71].includes(code) ? null : 'outside the profile'
}

export function referenceFault(text: string): Fault {
  if (/^ba[a-z2-7]{57}$/.test(text)) {
    return cidFault(text) ?? (CID.parse(text).code === 0x71 ? null : 'the id of a file')
  }
  const fault = shown(512)(text)
  if (fault !== null) return fault
  const isDoi = /^(https?:\/\/doi\.org\/|doi:)?10\.\d{4,9}\//.test(text)
  if (isDoi || !text.includes('/')) return aliasFault(text)
  const [, publisher = '', name = '', , suffix] = /^([^/]*)\/([^@]*)(@(.*))?$/s.exec(text) ?? []
  const isPublisher = [labelFault, handleFault, cidFault].some((each) => each(publisher) === null)
  if (!isPublisher) return 'no publisher'
  if (nameFault(name) !== null) return 'no name'
  if (suffix === undefined || suffix === 'latest') return null
  return versionFault(suffix) === null || tagFault(suffix) === null ? null : 'no version or tag'
}
