/**
 * Trust: which publisher may what on this node. The own publisher may everything; a stranger is
 * seen, no more; in between stand the rules of the operator's policy file (trust-file.ts).
 */
import type { Cid } from '../protocol/cid.ts'

/**
 * Each right includes those before it.
 * - see: identity chain, profile and newest head are kept
 * - list: records and cards are kept and can be searched
 * - mirror: files are fetched
 * - run: models run here
 */
export const RIGHTS = ['see', 'list', 'mirror', 'run'] as const
export type Right = (typeof RIGHTS)[number]

export interface TrustRule {
  readonly publisher: Cid
  readonly right: Right
  /** What this node calls the publisher; goes before labels in references. */
  readonly petname: string | null
  /** Whether input may be sent to nodes of that publisher. */
  readonly send: boolean
}

/** Why a publisher has the right that it has. */
export interface TrustReason {
  readonly publisher: Cid
  readonly right: Right
  readonly send: boolean
  /** `own`: this node's publisher; `rule`: named in the policy file; `default`: a stranger. */
  readonly because: 'own' | 'rule' | 'default'
  readonly rule: TrustRule | null
  /** The reason in words. */
  readonly message: string
  /** The command that changes it, or null where nothing can. */
  readonly change: string | null
}

const STRANGER: Right = 'see'

/** The rules in force. Immutable. */
export class TrustPolicy {
  readonly own: Cid | null
  readonly rules: readonly TrustRule[]
  readonly #byPublisher: ReadonlyMap<Cid, TrustRule>

  constructor(own: Cid | null, rules: readonly TrustRule[]) {
    this.own = own
    this.rules = rules
    this.#byPublisher = new Map(rules.map((rule) => [rule.publisher, rule]))
  }

  rule(publisher: Cid): TrustRule | null {
    return this.#byPublisher.get(publisher) ?? null
  }

  right(publisher: Cid): Right {
    if (publisher === this.own) return 'run'
    return this.rule(publisher)?.right ?? STRANGER
  }

  may(publisher: Cid, right: Right): boolean {
    return RIGHTS.indexOf(this.right(publisher)) >= RIGHTS.indexOf(right)
  }

  /** Whether input may be sent to a node of that publisher. */
  maySend(publisher: Cid): boolean {
    return publisher === this.own || (this.rule(publisher)?.send ?? false)
  }

  /** Publishers with at least a right, the own one first. */
  with(right: Right): readonly Cid[] {
    const own = this.own === null ? [] : [this.own]
    const others = this.rules.map((rule) => rule.publisher).filter((id) => id !== this.own)
    return [...own, ...others.filter((id) => this.may(id, right))]
  }

  /** What this node calls a publisher. */
  petname(publisher: Cid): string | null {
    return this.rule(publisher)?.petname ?? null
  }

  byPetname(petname: string): Cid | null {
    return this.rules.find((rule) => rule.petname === petname)?.publisher ?? null
  }

  explain(publisher: Cid): TrustReason {
    const rule = this.rule(publisher)
    const right = this.right(publisher)
    const send = this.maySend(publisher)
    const base = { publisher, right, send, rule }
    if (publisher === this.own) {
      const message = 'this is your own publisher: it may everything here'
      return { ...base, because: 'own', message, change: null }
    }
    const change = `zoarium trust add ${publisher} ${right === 'run' ? 'list' : 'run'}`
    if (rule !== null) {
      const sent = send ? 'images may be sent to its nodes' : 'images are not sent to its nodes'
      const message = `a rule in trust.yaml grants "${right}"; ${sent}`
      return { ...base, because: 'rule', message, change }
    }
    const message = `no rule in trust.yaml names it, and strangers are only seen: its models are neither listed nor fetched nor run`
    return { ...base, because: 'default', message, change }
  }
}

/** The policy of a node that has no rules yet. */
export const emptyTrust = (own: Cid | null): TrustPolicy => new TrustPolicy(own, [])
