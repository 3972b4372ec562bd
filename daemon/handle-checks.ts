/**
 * Asks the hosts of handles whom they stand for: in the background, one after another, and never
 * because of a request. The publisher chooses the host, so nothing but a public address is asked,
 * over HTTPS, without following a redirect.
 */
import type { Cid } from '../protocol/cid.ts'
import { refuse, type Verdict, ZoariumError } from '../protocol/errors.ts'
import { HANDLE_PATH, readHandleDocument } from '../protocol/handle.ts'
import { MAX_HANDLE_BYTES } from '../protocol/limits.ts'
import type { Handles } from '../registry/handles.ts'
import type { Log } from './log.ts'
import { type PublicWeb, unreachable } from './public-web.ts'
import type { WebAnswer } from './web.ts'

/** One address has so long to answer in full. */
const ANSWER_MS = 5_000

export interface HandleCheckParts {
  readonly handles: Pick<Handles, 'due' | 'note'>
  readonly web: PublicWeb
  readonly log: Pick<Log, 'info' | 'error'>
}

export class HandleChecks {
  readonly #parts: HandleCheckParts
  readonly #stopping = new AbortController()
  #round: Promise<void> | null = null

  constructor(parts: HandleCheckParts) {
    this.#parts = parts
  }

  /** Begins a round unless one is under way, which then takes in what became due. */
  kick(): void {
    void this.round()
  }

  /** Asks every host that is due. Resolves when none is left; a defect alone rejects. */
  round(): Promise<void> {
    this.#round ??= this.#askAll()
      .catch((error: unknown) => {
        // A defect must not hide; a full disk must not end the daemon.
        if (!(error instanceof ZoariumError)) throw error
        this.#parts.log.error({ err: error }, 'could not keep the check of a handle')
      })
      .finally(() => {
        this.#round = null
      })
    return this.#round
  }

  /** Nothing is kept after this. */
  stop(): void {
    this.#stopping.abort()
  }

  async #askAll(): Promise<void> {
    const { handles, log } = this.#parts
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const [handle] = handles.due()
      if (handle === undefined) return
      const verdict = await this.#ask(handle)
      if (signal.aborted) return
      handles.note(handle, verdict)
      const { code, message, got } = verdict.ok ? { code: 'OK' } : verdict
      log.info({ handle, code, message, got }, 'handle checked')
    }
  }

  /**
   * The publisher that the host names. Fails with UNREACHABLE, ADDRESS, LIMIT, UNKNOWN_VERSION,
   * HANDLE.
   */
  async #ask(handle: string): Promise<Verdict<Cid>> {
    const { web } = this.#parts
    const addresses = await web.addresses(handle)
    if (!addresses.ok) return addresses
    let last: unknown = null
    for (const address of addresses.value) {
      const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ANSWER_MS)])
      const request = { host: handle, address, path: HANDLE_PATH, maxBytes: MAX_HANDLE_BYTES }
      try {
        return judge(await web.get({ ...request, signal }))
      } catch (error) {
        last = error
      }
    }
    return unreachable('the host of the handle does not answer', last)
  }
}

function judge({ status, body }: WebAnswer): Verdict<Cid> {
  // The host's trouble, not its word.
  if (status >= 500 || status === 429) {
    return refuse('UNREACHABLE', 'the host of the handle fails', { got: status })
  }
  if (status !== 200) {
    return refuse('HANDLE', 'the host of the handle has no document', { limit: 200, got: status })
  }
  if (body === null) {
    return refuse('LIMIT', 'the document of the handle is too long', { limit: MAX_HANDLE_BYTES })
  }
  return readHandleDocument(body)
}
