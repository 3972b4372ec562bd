/** One byte range of a file. RFC 9110, section 14. */
import { ZoariumError } from '../../protocol/errors.ts'

export interface ByteRange {
  /** First byte. */
  readonly start: number
  /** One past the last byte. */
  readonly end: number
}

/**
 * Reads a `Range` header for a file of `size` bytes.
 * @returns null for the whole file: no header, another unit, several ranges or a malformed one;
 *   RFC 9110 lets a server ignore all of these
 * @throws ZoariumError RANGE where the range lies outside the file
 */
export function parseByteRange(header: string, size: number): ByteRange | null {
  const match = /^bytes=([0-9]{0,15})-([0-9]{0,15})$/.exec(header.trim())
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? '']
  if (first === '' && last === '') return null
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1)
  if (first !== '' && last !== '' && Number(last) < Number(first)) return null
  if (start >= end) {
    throw new ZoariumError('RANGE', 'the range lies outside the file', {
      field: 'Range',
      limit: size,
      got: header.slice(0, 80),
    })
  }
  return { start, end }
}
