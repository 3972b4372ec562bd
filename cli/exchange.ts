/** One HTTP exchange with a daemon, with bodies in both directions as streams. */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { ZoariumError } from '../protocol/errors.ts'

/** How long a body waits for the daemon's invitation; a proxy in between may swallow it. */
const CONTINUE_MS = 2_000

export interface ExchangeOptions {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string | number>>
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>
  readonly signal: AbortSignal
}

/**
 * Sends a request and waits for the head of its answer. A streamed body is sent only once the
 * daemon invited it, and no further when the daemon answers early.
 * @throws ZoariumError UNREACHABLE, CANCELLED; what the body throws
 */
export function exchange(options: ExchangeOptions): Promise<http.IncomingMessage> {
  const { method, url, body, signal } = options
  const isStream = body !== undefined && !(body instanceof Uint8Array)
  const headers = isStream ? { ...options.headers, Expect: '100-continue' } : options.headers
  return new Promise((resolve, reject) => {
    const { request } = url.protocol === 'https:' ? https : http
    const outgoing = request(url, { method, headers: { ...headers }, signal })
    outgoing.once('error', (error: NodeJS.ErrnoException) =>
      reject(unreachable(error, url, signal)),
    )
    outgoing.once('response', (response) => {
      // The connection of an early answer is of no more use.
      response.once('close', () => {
        if (!outgoing.writableEnded) outgoing.destroy()
      })
      resolve(response)
    })
    if (!isStream) {
      outgoing.end(body)
      return
    }
    afterInvitation(outgoing, () =>
      pump(body, outgoing).catch((error) => {
        reject(error)
        outgoing.destroy()
      }),
    )
  })
}

function afterInvitation(outgoing: http.ClientRequest, start: () => void): void {
  const timer = setTimeout(begin, CONTINUE_MS)
  function begin(): void {
    clearTimeout(timer)
    outgoing.off('continue', begin)
    start()
  }
  outgoing.once('continue', begin)
  outgoing.once('response', () => clearTimeout(timer))
  outgoing.once('error', () => clearTimeout(timer))
  outgoing.flushHeaders()
}

async function pump(body: AsyncIterable<Uint8Array>, outgoing: http.ClientRequest): Promise<void> {
  let isAnswered = false
  outgoing.once('response', () => {
    isAnswered = true
  })
  const stopped = Promise.race([once(outgoing, 'response'), once(outgoing, 'close')])
  stopped.catch(() => {})
  for await (const chunk of body) {
    if (isAnswered || outgoing.destroyed) return
    if (!outgoing.write(chunk)) {
      await Promise.race([once(outgoing, 'drain'), stopped]).catch(() => {})
    }
  }
  if (!isAnswered) outgoing.end()
}

function unreachable(error: NodeJS.ErrnoException, url: URL, signal: AbortSignal): ZoariumError {
  if (signal.aborted) return new ZoariumError('CANCELLED', 'stopped')
  const isTls = /CERT|TLS|SSL/.test(error.code ?? '')
  return new ZoariumError(
    'UNREACHABLE',
    `couldn't reach the daemon at ${url.origin}`,
    {
      got: error.code ?? error.message,
      hint: isTls
        ? 'name the certificate authority in NODE_EXTRA_CA_CERTS'
        : 'start one with `zoarium daemon`, or name another in ZOARIUM_URL',
    },
    error,
  )
}
