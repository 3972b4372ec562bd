/**
 * The web as far as foreign records may lead this node into it: whoever signs a record chooses the
 * host, so none is asked whose addresses are not public, unless the operator has named it.
 */
import { accept, type Failure, refuse, type Verdict } from '../protocol/errors.ts'
import { isPublicAddress } from './public-address.ts'
import type { Web, WebAnswer, WebRequest } from './web.ts'

/** Addresses of one host that are tried. */
const MAX_ADDRESSES = 3

export class PublicWeb {
  readonly #web: Web
  readonly #allowPrivate: readonly string[]

  /** @param allowPrivate hosts that may have private addresses */
  constructor(web: Web, allowPrivate: readonly string[]) {
    this.#web = web
    this.#allowPrivate = allowPrivate
  }

  /** Where a host may be asked, at least one address. Fails with UNREACHABLE, ADDRESS. */
  async addresses(host: string): Promise<Verdict<readonly [string, ...string[]]>> {
    let found: readonly string[]
    try {
      found = await this.#web.addresses(host)
    } catch (error) {
      return unreachable('the host has no address', error)
    }
    // One is enough to refuse: a mixed answer is the mark of an attack.
    const internal = found.find((address) => !isPublicAddress(address))
    if (internal !== undefined && !this.#allowPrivate.includes(host)) {
      return refuse('ADDRESS', 'the host has an address that is not public', {
        got: internal,
        hint: 'list the host under web.allowPrivate in config.yaml where that is meant',
      })
    }
    const [first, ...rest] = found.slice(0, MAX_ADDRESSES)
    if (first === undefined) return unreachable('the host has no address', null)
    return accept([first, ...rest])
  }

  /** Of one of those addresses. Rejects where no answer comes. */
  get(request: WebRequest): Promise<WebAnswer> {
    return this.#web.get(request)
  }
}

/** Why a host gave no answer. */
export const unreachable = (message: string, error: unknown): Failure =>
  refuse('UNREACHABLE', message, {
    got: error instanceof Error ? error.message.slice(0, 200) : 'no address',
  })
