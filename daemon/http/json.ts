/**
 * JSON that means one thing: no object names a field twice, and every number is kept as it was
 * written. Parsers differ in both, so a body that looks harmless to a proxy could mean something
 * else here.
 */
import { ZoariumError } from '../../protocol/errors.ts'

/** A text, or a mark around which objects and lists are built. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/g

/**
 * Reads JSON text.
 * @throws ZoariumError PARAMETER (not JSON), JSON_DUP, NUMBER_RANGE
 */
export function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text, checkNumber)
  } catch (error) {
    if (error instanceof ZoariumError) throw error
    throw new ZoariumError('PARAMETER', 'the body is not JSON', { field: 'body' })
  }
  checkKeys(text)
  return value
}

/** Beyond every double, or a whole number that two texts share. */
function checkNumber(field: string, value: unknown, context?: { source: string }): unknown {
  if (typeof value !== 'number') return value
  if (Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))) {
    return value
  }
  throw new ZoariumError('NUMBER_RANGE', 'a number beyond 2^53-1', {
    field: field || 'body',
    limit: Number.MAX_SAFE_INTEGER,
    got: context?.source.slice(0, 80) ?? String(value),
  })
}

/** @param text valid JSON */
function checkKeys(text: string): void {
  /** The names so far of each object that is open; null for a list. */
  const open: (Set<string> | null)[] = []
  let last = ''
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{') open.push(new Set())
    else if (token === '[') open.push(null)
    else if (token === '}' || token === ']') open.pop()
    else if (token === ':') {
      // SAFE: what stands before a colon is the text of a name.
      const name = JSON.parse(last) as string
      const names = open.at(-1)
      if (names?.has(name)) {
        throw new ZoariumError('JSON_DUP', 'a JSON object names a field twice', {
          field: name.slice(0, 80),
        })
      }
      names?.add(name)
    }
    last = token
  }
}
