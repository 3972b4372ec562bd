/**
 * Trust: which publisher may what on this node. The own publisher may everything; a stranger is
 * seen, no more; in between stand the rules of the operator's policy file (trust-file.ts). A rule
 * that names a publisher wins over the rosters that it is a member of.
 */
import type { Cid } from '../protocol/cid.ts'
import type { RosterRight } from '../protocol/roster.ts'
import { DEFAULT_MIRROR, type MirrorRules } from './mirror-rules.ts'

/**
 * Each right includes those before it.
 * - see: identity chain, profile and newest head are kept
 * - list: records and cards are kept and can be searched
 * - mirror: files are fetched
 * - run: models run here
 */
export const RIGHTS = ['see', 'list', 'mirror', 'run'] as const
export type Right = (typeof RIGHTS)[number]

/** Line of the policy file where a rule begins; null for rules that come from none. */
type Line = number | null

export interface TrustRule {
  readonly publisher: Cid
  readonly right: Right
  /** What this node calls the publisher; goes before labels in references. */
  readonly petname: string | null
  /** Whether input may be sent to nodes of that publisher. */
  readonly send: boolean
  readonly line: Line
}

/** A roster that this node follows. */
export interface RosterRule {
  /** Its issuer, who is listed because of it. */
  readonly publisher: Cid
  readonly name: string
  /** What its members get. */
  readonly right: RosterRight
  /** Those whom the operator accepted. The roster as it stands may have fewer, and then they count. */
  readonly members: readonly Cid[]
  /** Addresses that the operator accepted. */
  readonly bootstrap: readonly string[]
  readonly line: Line
}

/** Models that enough others vouch for may run. */
export interface RunRule {
  /** How many at least. */
  readonly attested: number
  /** Publishers whose word counts. */
  readonly of: readonly Cid[]
  /** Only models of these publishers; null: of all that are listed here. */
  readonly publishers: readonly Cid[] | null
  readonly line: Line
}

/** The right of a publisher, and what gives it. */
export interface Grant {
  readonly right: Right
  /** `issuer`: of a roster that this node follows; `default`: a stranger. */
  readonly because: 'own' | 'rule' | 'roster' | 'issuer' | 'default'
  readonly rule: TrustRule | null
  readonly roster: RosterRule | null
}

const OWN: Grant = { right: 'run', because: 'own', rule: null, roster: null }
const STRANGER: Grant = { right: 'see', because: 'default', rule: null, roster: null }

/** The members of a roster as it stands. */
export type Membership = (publisher: Cid, name: string) => readonly Cid[]

export interface TrustRules {
  readonly rules: readonly TrustRule[]
  readonly rosters?: readonly RosterRule[]
  readonly run?: readonly RunRule[]
  readonly mirror?: MirrorRules
}

/** The rules in force. Immutable. */
export class TrustPolicy {
  readonly own: Cid | null
  readonly rules: readonly TrustRule[]
  readonly rosters: readonly RosterRule[]
  readonly run: readonly RunRule[]
  readonly mirror: MirrorRules
  readonly #byPublisher: ReadonlyMap<Cid, TrustRule>
  readonly #grants: ReadonlyMap<Cid, Grant>
  readonly #membership: Membership

  /** @param membership by default nobody is a member: no roster is known */
  constructor(
    own: Cid | null,
    { rules, rosters = [], run = [], mirror = DEFAULT_MIRROR }: TrustRules,
    membership: Membership = () => [],
  ) {
    this.own = own
    this.rules = rules
    this.rosters = rosters
    this.run = run
    this.mirror = mirror
    this.#membership = membership
    this.#byPublisher = new Map(rules.map((rule) => [rule.publisher, rule]))
    this.#grants = this.#collect()
  }

  /** The same rules, with rosters as they stand now. */
  narrowed(membership: Membership): TrustPolicy {
    return new TrustPolicy(this.own, this, membership)
  }

  #collect(): ReadonlyMap<Cid, Grant> {
    const grants = new Map<Cid, Grant>()
    const give = (publisher: Cid, grant: Grant): void => {
      const before = grants.get(publisher)
      if (before === undefined || rank(grant.right) > rank(before.right)) {
        grants.set(publisher, grant)
      }
    }
    for (const rule of this.rules) {
      give(rule.publisher, { right: rule.right, because: 'rule', rule, roster: null })
    }
    for (const roster of this.rosters) {
      for (const member of this.membersOf(roster)) {
        const { right } = roster
        if (!this.#byPublisher.has(member)) {
          give(member, { right, because: 'roster', rule: null, roster })
        }
      }
      // Whatever else it may: without its log the roster would not be followed.
      give(roster.publisher, { right: 'list', because: 'issuer', rule: null, roster })
    }
    return grants
  }

  /** Whom a roster gives its right: the accepted ones among those that it names now. */
  membersOf(roster: RosterRule): readonly Cid[] {
    const standing = new Set(this.#membership(roster.publisher, roster.name))
    return roster.members.filter((member) => standing.has(member))
  }

  rule(publisher: Cid): TrustRule | null {
    return this.#byPublisher.get(publisher) ?? null
  }

  roster(publisher: Cid, name: string): RosterRule | null {
    const found = this.rosters.find((each) => each.publisher === publisher && each.name === name)
    return found ?? null
  }

  grant(publisher: Cid): Grant {
    return publisher === this.own ? OWN : (this.#grants.get(publisher) ?? STRANGER)
  }

  right(publisher: Cid): Right {
    return this.grant(publisher).right
  }

  may(publisher: Cid, right: Right): boolean {
    return rank(this.right(publisher)) >= rank(right)
  }

  /** Whether input may be sent to a node of that publisher. */
  maySend(publisher: Cid): boolean {
    return publisher === this.own || (this.rule(publisher)?.send ?? false)
  }

  /** Publishers with at least a right, the own one first. */
  with(right: Right): readonly Cid[] {
    const own = this.own === null ? [] : [this.own]
    const others = [...this.#grants.keys()].filter((id) => id !== this.own)
    return [...own, ...others.filter((id) => this.may(id, right))]
  }

  /** What this node calls a publisher. */
  petname(publisher: Cid): string | null {
    return this.rule(publisher)?.petname ?? null
  }

  byPetname(petname: string): Cid | null {
    return this.rules.find((rule) => rule.petname === petname)?.publisher ?? null
  }
}

const rank = (right: Right): number => RIGHTS.indexOf(right)
