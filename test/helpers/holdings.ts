/** What nodes of test publishers say they hold. */

import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import {
  type NextHoldings,
  nextHoldings,
  readHoldings,
  type StatedHoldings,
  signHoldings,
} from '../../protocol/holdings.ts'
import type { TestPublisher } from './publisher.ts'

const PEER = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
export const HOLDINGS_LIFE_MS = 3 * 24 * 3600 * 1000

/** A node of a publisher that says what it holds, each time what has changed where that is short. */
export class Holder {
  readonly own: TestPublisher
  readonly peer: string
  last: StatedHoldings | null = null

  constructor(own: TestPublisher, peer = PEER) {
    this.own = own
    this.peer = peer
  }

  get key(): string {
    return this.own.key('serve')
  }

  /** Signs what it holds now. */
  says(
    models: readonly Cid[],
    issued: number,
    changes: Partial<NextHoldings> = {},
  ): StatedHoldings {
    const { own, peer, key } = this
    const next = {
      speaker: { publisher: own.publisher, key, peer },
      issued,
      expires: issued + HOLDINGS_LIFE_MS,
      models: new Set(models),
      room: 0,
      ...changes,
    }
    const holdings = nextHoldings(next, this.last)
    const current = signHoldings(holdings, own.seeds.serve)
    const before = this.last
    const base = holdings.base === null ? null : (before?.base ?? before?.current ?? null)
    this.last = expectOk(readHoldings(current, base, own.identity, issued))
    return this.last
  }
}
