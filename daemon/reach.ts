/**
 * Whether others reach this node, and whether its clock agrees with theirs: what members say when
 * they are asked to dial it back.
 */
import type { FindingView } from '../protocol/api.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { MAX_CLOCK_AHEAD_MS, MAX_DIALLED_BACK } from '../protocol/limits.ts'
import type { Dialled } from '../protocol/peers-message.ts'
import type { Clock } from '../registry/clock.ts'
import { isPublicAddress } from './public-address.ts'

/** Members that are asked, of different publishers where there are. */
const MAX_ASKED = 3
/** From which difference on a clock is worth a look, milliseconds. */
export const CLOCK_WARN_MS = 60_000

export interface ReachPeer {
  readonly peer: string
  /** Whether its publisher has the right `list` here. */
  readonly isMember: boolean
  readonly publisher: string | null
}

export interface PeerWord {
  readonly peer: string
  readonly answer: Dialled | null
  /** Why there is no answer. */
  readonly error: string | null
  /** Its clock less this one's, milliseconds. */
  readonly skewMs: number | null
}

export interface ReachParts {
  readonly clock: Clock
  readonly connected: () => readonly ReachPeer[]
  readonly dialBack: (peer: string, addresses: readonly string[]) => Promise<Dialled>
}

/** Addresses to ask for, without PeerIds: names and public ones first. */
export function chosenAddresses(addresses: readonly string[]): readonly string[] {
  const bare = [...new Set(addresses.map((each) => each.replace(/\/p2p\/[^/]+$/, '')))]
  const rank = (address: string): number => {
    const host = /^\/ip[46]\/([^/]+)/.exec(address)?.[1]
    return host === undefined ? 0 : isPublicAddress(host) ? 1 : 2
  }
  return bare.sort((a, b) => rank(a) - rank(b)).slice(0, MAX_DIALLED_BACK)
}

/** Asks some members; those that do not answer are in the list, too. */
export async function askPeers(
  { clock, connected, dialBack }: ReachParts,
  addresses: readonly string[],
): Promise<readonly PeerWord[]> {
  const members = connected().filter(({ isMember }) => isMember)
  const byPublisher = new Map(members.map((each) => [each.publisher, each]))
  const asked = [...new Set([...byPublisher.values(), ...members])].slice(0, MAX_ASKED)
  return Promise.all(
    asked.map(async ({ peer }): Promise<PeerWord> => {
      const started = clock.now()
      try {
        const answer = await dialBack(peer, addresses)
        return { peer, answer, error: null, skewMs: answer.now - started }
      } catch (error) {
        if (!(error instanceof ZoariumError)) throw error
        return { peer, answer: null, error: `${error.message} (${error.code})`, skewMs: null }
      }
    }),
  )
}

/** What the answers say of each address. */
export function reachFindings(
  addresses: readonly string[],
  words: readonly PeerWord[],
): readonly FindingView[] {
  const check = 'reach'
  if (addresses.length === 0) {
    const message = 'no address for others: this node takes part by the connections it makes itself'
    return [{ check, state: 'ok', message }]
  }
  const answers = words.flatMap(({ answer }) => (answer === null ? [] : [answer]))
  if (answers.length === 0) {
    const [first] = words
    const message =
      first === undefined
        ? 'no member is connected that could dial this node back'
        : `no member would dial this node back: ${first.error}`
    const hint = 'the other operator runs: zoarium trust add YOUR-PUBLISHER list'
    return [{ check, state: 'skip', message, ...(first === undefined ? {} : { hint }) }]
  }
  const isReached = answers.some(({ results }) => results.some(({ code }) => code === null))
  return addresses.map((address) => {
    const results = answers.flatMap(({ results }) => results.filter((r) => r.address === address))
    const reached = results.filter(({ code }) => code === null).length
    const failed = results.find(({ code }) => code === 'UNREACHABLE')
    if (reached > 0) {
      const message = `${address}: reached by ${reached} of ${results.length} members`
      return { check, state: 'ok', message }
    }
    if (failed === undefined) {
      return {
        check,
        state: 'skip',
        message: `${address}: no member dials it: ${results[0]?.message ?? 'not asked'}`,
        hint: 'a name is dialled where it is that of your profile: zoarium profile set --page https://NAME',
      }
    }
    return {
      check,
      state: isReached ? 'warn' : 'fail',
      message: `${address}: not reached: ${failed.message ?? 'no answer'}`,
      hint: address.includes('/ws')
        ? 'look at the reverse proxy: it must pass on the upgrade to WebSocket and the Host (docs/operations.md)'
        : 'open the port in the firewall, or let a reverse proxy lead to the HTTP port and set http.publicUrl; a node that needs no way in: network.listen: []',
    }
  })
}

/** What the clocks of others say of this one. */
export function clockFinding(words: readonly PeerWord[]): FindingView {
  const check = 'clock'
  const skews = words.flatMap(({ skewMs }) => (skewMs === null ? [] : [skewMs])).sort(byNumber)
  const skew = skews[Math.floor(skews.length / 2)]
  if (skew === undefined) {
    return { check, state: 'skip', message: 'no member said what time it is' }
  }
  const seconds = Math.round(Math.abs(skew) / 1000)
  const way = skew > 0 ? 'behind' : 'ahead of'
  const message =
    Math.abs(skew) < CLOCK_WARN_MS
      ? `agrees with ${skews.length} members`
      : `${seconds} seconds ${way} the clocks of ${skews.length} members`
  const hint = 'let the clock be set by NTP: timedatectl set-ntp true'
  if (Math.abs(skew) < CLOCK_WARN_MS) return { check, state: 'ok', message }
  return { check, state: Math.abs(skew) > MAX_CLOCK_AHEAD_MS ? 'fail' : 'warn', message, hint }
}

const byNumber = (a: number, b: number): number => a - b
