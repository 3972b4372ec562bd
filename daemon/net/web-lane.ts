/**
 * Leaves over HTTPS: `GET /v1/blobs/CID` with a range, at the address that the profile of a
 * source's publisher names, under a ticket of the source. What comes is only bytes until the leaf is
 * verified, whoever sent it.
 */
import type { Cid } from '../../protocol/cid.ts'
import { leafCount, leafSize } from '../../protocol/content-tree.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { LeafSet } from '../../protocol/leaf-set.ts'
import { LEAF_BYTES, MAX_LEAF_SET_BYTES } from '../../protocol/limits.ts'
import type { WebAnswer } from '../web.ts'
import type { LeafAnswer, LeafLane, TransferLimits, WantedBlob } from './leaf-lane.ts'
import type { Choice } from './leaf-plan.ts'
import type { WebDoor } from './web-door.ts'

/** An answer that is no leaf: an error in JSON, with a set of leaves in base64. */
const MAX_ERROR_BYTES = 2 * MAX_LEAF_SET_BYTES + 1024
const PARTIAL = 206
const CONFLICT = 409

export class WebLane implements LeafLane {
  readonly #door: WebDoor
  readonly #blob: WantedBlob
  readonly #limits: TransferLimits
  readonly #asked: Promise<LeafAnswer>[] = []
  readonly #end = new AbortController()

  constructor(door: WebDoor, blob: WantedBlob, limits: TransferLimits) {
    this.#door = door
    this.#blob = blob
    this.#limits = limits
  }

  async ask(choice: Choice): Promise<void> {
    const answer = this.#get(choice)
    // Whoever waits for it learns of what became of it.
    answer.catch(() => {})
    this.#asked.push(answer)
  }

  answer(): Promise<LeafAnswer> {
    const answer = this.#asked.shift()
    if (answer === undefined) throw new TypeError('nothing was asked')
    return answer
  }

  /** A connection that closes meanwhile is opened again. */
  async keep(): Promise<void> {}

  abort(error: ZoariumError): void {
    this.#end.abort(error)
  }

  async #get({ index, insist }: Choice): Promise<LeafAnswer> {
    const { web, url, address, ticket } = this.#door
    const { cid, size } = this.#blob
    const length = leafSize(size, index)
    const start = index * LEAF_BYTES
    const late = AbortSignal.timeout(this.#limits.leafMs)
    let answer: WebAnswer
    try {
      answer = await web.get({
        host: url.hostname,
        address,
        ...(url.port === '' ? {} : { port: Number(url.port) }),
        path: pathOf(url, cid, insist),
        headers: {
          Accept: 'application/octet-stream',
          Authorization: `Bearer ${ticket}`,
          Range: `bytes=${start}-${start + length - 1}`,
        },
        accepts: [PARTIAL, CONFLICT],
        maxBytes: Math.max(length, MAX_ERROR_BYTES),
        signal: AbortSignal.any([late, this.#end.signal]),
      })
    } catch (error) {
      if (this.#end.signal.reason instanceof ZoariumError) throw this.#end.signal.reason
      const code = late.aborted ? 'TIMEOUT' : 'UNREACHABLE'
      throw new ZoariumError(code, 'no answer at the address of the profile', {}, error)
    }
    const { status, body } = answer
    if (status === CONFLICT && body !== null) return { given: this.#given(body, index) }
    if (status !== PARTIAL || body?.length !== length) {
      throw new ZoariumError('PEER', 'no leaf at the address of the profile', { got: status })
    }
    return { bytes: body }
  }

  #given(body: Uint8Array, index: number): LeafSet {
    const bits = givenOf(body)
    const given = bits && expectOk(LeafSet.read(bits, leafCount(this.#blob.size)))
    if (!given?.has(index)) throw new ZoariumError('PEER', 'the leaf is refused without a reason')
    return given
  }
}

/** An address may have a path of its own, behind which the routes of the node are. */
const pathOf = (url: URL, cid: Cid, insist: boolean): string =>
  `${url.pathname.replace(/\/+$/, '')}/v1/blobs/${cid}${insist ? '' : '?insist=false'}`

/** Bits of the leaves that an error GIVEN names. */
function givenOf(body: Uint8Array): Uint8Array | null {
  try {
    const { error } = JSON.parse(Buffer.from(body).toString('utf8')) as {
      readonly error?: { readonly code?: unknown; readonly got?: unknown }
    }
    if (error?.code !== 'GIVEN' || typeof error.got !== 'string') return null
    return Buffer.from(error.got, 'base64url')
  } catch {
    return null
  }
}
