/**
 * Which handles are verified. A handle counts where the profile of a publisher names it and its
 * host names that publisher (docs/protocol.md, "Handles"). Who asks the host is not decided here:
 * this part says which hosts are due, and keeps what they answered, by handle, so that many
 * publishers with one claim cause one question.
 */
import type { Cid } from '../protocol/cid.ts'
import { type Issue, issueOf, type Verdict } from '../protocol/errors.ts'
import { HANDLE_LIFE_MS } from '../protocol/limits.ts'
import type { Catalogue, ProfileRow } from './catalogue.ts'
import type { Clock } from './clock.ts'
import type { TrustPolicy } from './trust.ts'

const HOUR_MS = 3600 * 1000
const DAY_MS = 24 * HOUR_MS
/**
 * How long to wait after the first, second, ... time in a row that a host did not confirm a handle:
 * soon at first, since most are being set up, then seldom.
 */
const WAITS_MS = [HOUR_MS, 6 * HOUR_MS, DAY_MS, 2 * DAY_MS, 4 * DAY_MS, 7 * DAY_MS]
const SETTING = 'handles'

/** What the host of a handle answered last. Times in milliseconds. */
interface Answer {
  /** The publisher that it names; null: none. */
  readonly publisher: Cid | null
  /** When it named it. */
  readonly confirmed: number
  /** When it was last asked. */
  readonly asked: number
  /** How often in a row no confirmation came. */
  readonly failures: number
  /** Why none came the last time; null: one did. */
  readonly problem: Issue | null
}

export class Handles {
  readonly #catalogue: Catalogue
  readonly #policy: () => TrustPolicy
  readonly #clock: Clock
  readonly #answers: Map<string, Answer>

  constructor(parts: {
    readonly catalogue: Catalogue
    readonly policy: () => TrustPolicy
    readonly clock: Clock
  }) {
    this.#catalogue = parts.catalogue
    this.#policy = parts.policy
    this.#clock = parts.clock
    // SAFE: `note` wrote it.
    const kept = JSON.parse(parts.catalogue.setting(SETTING) ?? '[]') as [string, Answer][]
    this.#answers = new Map(kept)
  }

  /** Whether the host of a profile's handle confirms its publisher. Never so for strangers. */
  isVerified({ publisher, handle }: ProfileRow): boolean {
    const answer = handle === null ? undefined : this.#answers.get(handle)
    return (
      answer?.publisher === publisher &&
      this.#clock.now() - answer.confirmed <= HANDLE_LIFE_MS &&
      this.#policy().may(publisher, 'list')
    )
  }

  /**
   * Why the host of a profile's handle did not confirm its publisher when it was asked last; null
   * where it did, or was not asked. The handle may be verified all the same, for a while.
   */
  problem({ publisher, handle }: ProfileRow): Issue | null {
    const answer = handle === null ? undefined : this.#answers.get(handle)
    if (answer === undefined || !this.#policy().may(publisher, 'list')) return null
    if (answer.problem !== null || answer.publisher === publisher) return answer.problem
    return {
      code: 'HANDLE',
      message: 'the host of the handle names another publisher',
      limit: publisher,
      ...(answer.publisher === null ? {} : { got: answer.publisher }),
    }
  }

  /** The one publisher of whom a handle is verified, or null. */
  publisherOf(handle: string): Cid | null {
    const publisher = this.#answers.get(handle)?.publisher ?? null
    const profile = publisher === null ? null : this.#catalogue.profile(publisher)
    return profile?.handle === handle && this.isVerified(profile) ? publisher : null
  }

  /** Handles of publishers with `list` or more whose hosts are to be asked now. */
  due(): readonly string[] {
    return [...this.#claimed()].filter((handle) => this.#isDue(handle))
  }

  #claimed(): ReadonlySet<string> {
    const publishers = this.#policy().with('list')
    return new Set(publishers.flatMap((each) => this.#catalogue.profile(each)?.handle ?? []))
  }

  #isDue(handle: string): boolean {
    const answer = this.#answers.get(handle)
    if (answer === undefined) return true
    const sinceAsked = this.#clock.now() - answer.asked
    // Asked in the future: the clock was wrong then.
    return sinceAsked < 0 || sinceAsked >= this.#wait(handle, answer.failures)
  }

  #wait(handle: string, failures: number): number {
    if (failures === 0) return DAY_MS
    const { own } = this.#policy()
    const isOwn = own !== null && this.#catalogue.profile(own)?.handle === handle
    // SAFE: the list is not empty.
    return isOwn ? HOUR_MS : (WAITS_MS[Math.min(failures, WAITS_MS.length) - 1] as number)
  }

  /** The host of a handle is to be asked at the next round. */
  again(handle: string): void {
    const answer = this.#answers.get(handle)
    if (answer !== undefined) this.#answers.set(handle, { ...answer, asked: 0 })
  }

  /**
   * Keeps what the host of a handle answered: the publisher that it names. UNREACHABLE says nothing
   * about the handle; any other refusal takes back what was verified.
   * @throws ZoariumError DISK_FULL, STORE
   */
  note(handle: string, verdict: Verdict<Cid>): void {
    const now = this.#clock.now()
    const { publisher = null, confirmed = 0, failures = 0 } = this.#answers.get(handle) ?? {}
    this.#answers.set(
      handle,
      verdict.ok
        ? { publisher: verdict.value, confirmed: now, asked: now, failures: 0, problem: null }
        : {
            publisher: verdict.code === 'UNREACHABLE' ? publisher : null,
            confirmed,
            asked: now,
            failures: failures + 1,
            problem: issueOf(verdict),
          },
    )
    this.#forget(now)
    this.#catalogue.putSetting(SETTING, JSON.stringify([...this.#answers]))
  }

  /** Drops handles that nobody claims any more, once they would have been asked again. */
  #forget(now: number): void {
    const claimed = this.#claimed()
    for (const [handle, { asked }] of this.#answers) {
      if (!claimed.has(handle) && now - asked >= DAY_MS) this.#answers.delete(handle)
    }
  }
}
