/**
 * The policy file `trust.yaml`: read whole when a node starts and again whenever it has changed;
 * a version with a fault changes nothing. docs/policy.md has it for operators.
 *
 *     version: 1
 *     rules:
 *       - publisher: bafyrei...      # the publisher's id; names can be taken by anyone
 *         right: run                 # see < list < mirror < run
 *         petname: embl              # optional: what this node calls it
 *         send: true                 # optional: images may be sent to its nodes
 *     rosters:                       # optional: federations that this node follows
 *       - publisher: bafyrei...      # who issues the roster
 *         name: imaging
 *         right: mirror              # what its members get: list < mirror < run
 *         members: [bafyrei...]      # those accepted; whom the issuer leaves out gets nothing
 *         bootstrap: [/dns4/...]     # optional: addresses to keep a connection to
 *     run:                           # optional: models that run because others vouch for them
 *       - attested: 2                # at least so many
 *         of: [embl, bafyrei...]     # of these publishers, by id or petname
 *         publishers: [bafyrei...]   # optional: only models of these; default: of all listed ones
 *     mirror:                        # optional: whose files are fetched (mirror-rules.ts)
 *       floor: 2                     # copies that are kept, at as many institutions
 *       otherwise: demand            # always, demand or never: models that no rule fits
 *       rules:                       # the first that fits decides
 *         - tags: [nuclei]           # and publishers, licenses, largest: all that are given must hold
 *           fetch: always
 *       pins: [bafyrei...]           # model records that are kept, whatever the rules say
 */
import type { Cid } from '../protocol/cid.ts'
import { expectOk, type Failure, ZoariumError } from '../protocol/errors.ts'
import type { RosterRule, TrustPolicy, TrustRule } from './trust.ts'
import {
  type TrustChange,
  withoutPin,
  withoutRoster,
  withoutRule,
  withPin,
  withRoster,
  withRule,
} from './trust-editing.ts'
import { parseTrust } from './trust-reading.ts'

export type { TrustChange } from './trust-editing.ts'

const EMPTY_POLICY = `# Which publisher may what on this node. See: zoarium trust --help
version: 1
rules: []
`

/** Where the policy file lies; a test keeps it in memory. */
export interface TrustFile {
  /** The text, or null where no rule was ever set. @throws ZoariumError STORE */
  read(): string | null
  /** Replaces it at once and durably. @throws ZoariumError STORE, DISK_FULL */
  write(text: string): void
}

/** The rules of the file and the file. Changes keep what the operator wrote in the meantime. */
export class TrustBook {
  readonly #file: TrustFile
  readonly #own: Cid | null
  #policy: TrustPolicy
  /** The text that was judged last. */
  #seen: string
  /** Whether there was ever a file: one that vanishes must not take the rules along. */
  #hadFile = false
  #fault: Failure | null = null

  /** @throws ZoariumError POLICY, STORE */
  constructor(file: TrustFile, own: Cid | null) {
    this.#file = file
    this.#own = own
    this.#seen = this.#text()
    this.#policy = expectOk(parseTrust(this.#seen, own))
  }

  /** The newest rules without a fault; members of rosters are not known here. */
  get policy(): TrustPolicy {
    return this.#policy
  }

  /** What is wrong with the file as it was read last; the rules before it are in force. */
  get fault(): Failure | null {
    return this.#fault
  }

  /**
   * Looks whether the file has changed. A fault is kept, never thrown.
   * @returns whether the rules or the fault are others now
   */
  reload(): boolean {
    let text: string
    try {
      text = this.#text()
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      const isNews = this.#fault?.message !== error.message
      this.#fault = { ok: false, code: error.code, message: error.message, ...error.data }
      // What is read next is news, whatever it is.
      this.#seen = ''
      return isNews
    }
    if (text === this.#seen) return false
    this.#seen = text
    const verdict = parseTrust(text, this.#own)
    this.#fault = verdict.ok ? null : verdict
    if (verdict.ok) this.#policy = verdict.value
    return true
  }

  /**
   * Sets the rule for a publisher.
   * @throws ZoariumError USAGE for the own publisher, POLICY where the file or the rule is wrong
   */
  set(change: TrustChange): TrustRule {
    if (change.publisher === this.#own) {
      throw new ZoariumError('USAGE', 'your own publisher may everything here already')
    }
    const policy = this.#replace(withRule(this.#checkedText(), change))
    const rule = policy.rule(change.publisher)
    if (rule === null) throw new TypeError('the rule that was set is not there')
    return rule
  }

  /** Removes the rule for a publisher. @returns whether there was one */
  remove(publisher: Cid): boolean {
    const text = this.#checkedText()
    if (expectOk(parseTrust(text, this.#own)).rule(publisher) === null) return false
    this.#replace(withoutRule(text, publisher))
    return true
  }

  /** Follows a roster, or takes in what the operator accepted of it now. @throws ZoariumError POLICY */
  follow(roster: Omit<RosterRule, 'line'>): void {
    this.#replace(withRoster(this.#checkedText(), roster))
  }

  /** Follows a roster no more. @returns whether it was followed; @throws ZoariumError POLICY */
  unfollow(publisher: Cid, name: string): boolean {
    const text = this.#checkedText()
    if (expectOk(parseTrust(text, this.#own)).roster(publisher, name) === null) return false
    this.#replace(withoutRoster(text, publisher, name))
    return true
  }

  /**
   * Pins a model: its files are fetched and kept.
   * @param name what it is, for people; @returns whether it was not pinned; @throws ZoariumError POLICY
   */
  pin(record: Cid, name: string): boolean {
    const text = this.#checkedText()
    if (expectOk(parseTrust(text, this.#own)).mirror.pins.includes(record)) return false
    this.#replace(withPin(text, record, name))
    return true
  }

  /** @returns whether it was pinned; @throws ZoariumError POLICY */
  unpin(record: Cid): boolean {
    const text = this.#checkedText()
    if (!expectOk(parseTrust(text, this.#own)).mirror.pins.includes(record)) return false
    this.#replace(withoutPin(text, record))
    return true
  }

  #replace(text: string): TrustPolicy {
    const policy = expectOk(parseTrust(text, this.#own))
    this.#file.write(text)
    this.#policy = policy
    this.#hadFile = true
    this.#seen = text
    this.#fault = null
    return policy
  }

  /** The file as it is now, known to be valid. */
  #checkedText(): string {
    const text = this.#text()
    expectOk(parseTrust(text, this.#own))
    return text
  }

  /** @throws ZoariumError STORE, POLICY where the file is gone */
  #text(): string {
    const text = this.#file.read()
    if (text !== null) this.#hadFile = true
    else if (this.#hadFile) {
      throw new ZoariumError('POLICY', 'the policy file is gone', {
        hint: 'put it back, or restart the daemon to begin without rules',
      })
    }
    return text ?? EMPTY_POLICY
  }
}

/** A policy file that is forgotten with the process. */
export function memoryTrust(text: string | null = null): TrustFile {
  let kept = text
  return {
    read: () => kept,
    write: (next) => {
      kept = next
    },
  }
}
