/** Where the file of a roster comes from: an address, a path, or nowhere, where it is an id. */
import { open } from 'node:fs/promises'
import { parseCid } from '../protocol/cid.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { MAX_ROSTER_CAR_BYTES } from '../protocol/limits.ts'
import { CAR_TYPE } from '../protocol/roster-car.ts'

const ADDRESS = 'the address of a roster ends in /v1/rosters/PUBLISHER/NAME.car'
/** The host has so long to answer in full. */
const FETCH_MS = 30_000

/**
 * The bytes of a file, or the id that stands for one. Nothing of it is verified.
 * @throws ZoariumError USAGE, UNREACHABLE, MEDIA_TYPE, LIMIT, NOT_FOUND, STORE
 */
export async function readSource(
  source: string,
  signal: AbortSignal,
): Promise<Uint8Array | string> {
  if (/^[a-z]+:\/\//i.test(source)) return fetchFile(source, signal)
  return parseCid(source).ok ? source : readRosterFile(source)
}

async function fetchFile(address: string, signal: AbortSignal): Promise<Uint8Array> {
  const url = URL.parse(address)
  if (url === null || !isAllowed(url)) {
    throw new ZoariumError('USAGE', 'only https addresses are fetched, or http on this machine', {
      got: address.slice(0, 200),
    })
  }
  const within = AbortSignal.any([signal, AbortSignal.timeout(FETCH_MS)])
  try {
    const answer = await fetch(url, {
      headers: { Accept: CAR_TYPE },
      // Another host would vouch for it than the one that was named.
      redirect: 'manual',
      signal: within,
    })
    return await readAnswer(answer, url)
  } catch (error) {
    if (error instanceof ZoariumError) throw error
    const { cause = error } = error as { cause?: unknown }
    throw new ZoariumError('UNREACHABLE', `couldn't fetch the roster from ${url.host}`, {
      got: cause instanceof Error ? cause.message : String(cause),
    })
  }
}

/** Clear text may have been changed on its way; between two programs of one machine there is none. */
const isAllowed = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' ||
  (protocol === 'http:' && /^(localhost|127(\.[0-9]+){3}|\[::1\])$/.test(hostname))

async function readAnswer(answer: Response, url: URL): Promise<Uint8Array> {
  const { status, headers, body } = answer
  if (status !== 200) {
    const hint =
      status >= 300 && status < 400
        ? 'redirects are not followed: name the address that it leads to'
        : ADDRESS
    const code = status === 404 ? 'NOT_FOUND' : 'UNREACHABLE'
    throw new ZoariumError(code, `${url.host} has no roster there`, { got: status, hint })
  }
  const type = (headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (type !== CAR_TYPE) {
    throw new ZoariumError('MEDIA_TYPE', 'the address does not lead to a CAR file', {
      got: (type || 'none').slice(0, 80),
      limit: CAR_TYPE,
      hint: ADDRESS,
    })
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > MAX_ROSTER_CAR_BYTES) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function readRosterFile(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path)
    try {
      const bytes = Buffer.alloc(MAX_ROSTER_CAR_BYTES + 1)
      let size = 0
      for (;;) {
        const { bytesRead } = await file.read(bytes, size)
        size += bytesRead
        if (size > MAX_ROSTER_CAR_BYTES) throw tooLarge()
        if (bytesRead === 0) return bytes.subarray(0, size)
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof ZoariumError) throw error
    const { code = '' } = error as NodeJS.ErrnoException
    const isMissing = code === 'ENOENT'
    throw new ZoariumError(
      isMissing ? 'NOT_FOUND' : 'STORE',
      isMissing ? 'no such file, and neither an address nor an id' : `couldn't read it: ${code}`,
      { got: path.slice(0, 200) },
    )
  }
}

const tooLarge = (): ZoariumError =>
  new ZoariumError('LIMIT', 'the file is too large to be a roster', {
    limit: MAX_ROSTER_CAR_BYTES,
  })
