/**
 * Handles: domain names that confirm publishers. docs/protocol.md, "Handles". The profile names the
 * handle, the document at {@link HANDLE_PATH} of that host names the publisher; only both together
 * mean anything.
 */
import { type Cid, codecOf, parseCid } from './cid.ts'
import { type Failure, refuse, type Verdict } from './errors.ts'
import { MAX_HANDLE_BYTES } from './limits.ts'

/** Where a host says which publisher it stands for. */
export const HANDLE_PATH = '/.well-known/zoarium.json'

export interface HandleDocument {
  readonly version: 1
  readonly publisher: Cid
}

export const handleDocument = (publisher: Cid): HandleDocument => ({ version: 1, publisher })

/**
 * The publisher that a document names. Fields that are not known are passed over. Fails with LIMIT,
 * UNKNOWN_VERSION or HANDLE.
 */
export function readHandleDocument(bytes: Uint8Array): Verdict<Cid> {
  if (bytes.length > MAX_HANDLE_BYTES) {
    return refuse('LIMIT', 'the document is too long', {
      limit: MAX_HANDLE_BYTES,
      got: bytes.length,
    })
  }
  let root: unknown
  try {
    root = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return bad('not JSON')
  }
  if (typeof root !== 'object' || root === null || Array.isArray(root)) return bad('not an object')
  const { version, publisher } = root as Record<string, unknown>
  if (version !== 1) {
    return refuse('UNKNOWN_VERSION', 'the document has a version that is not known', {
      field: 'version',
      got: shown(version),
    })
  }
  const cid = typeof publisher === 'string' ? parseCid(publisher) : null
  return cid?.ok && codecOf(cid.value) === 'dag-cbor' ? cid : bad('no publisher id', publisher)
}

const bad = (message: string, got?: unknown): Failure =>
  refuse('HANDLE', `the document of the handle is wrong: ${message}`, {
    ...(got === undefined ? {} : { field: 'publisher', got: shown(got) }),
  })

const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 80) ?? 'nothing'
