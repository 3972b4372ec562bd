/** The identity chains that this node keeps, its own and those of others. */
import type { Cid } from '../protocol/cid.ts'
import { accept, expectOk, type Failure, refuse, type Verdict } from '../protocol/errors.ts'
import { extendIdentity, type Identity, readIdentity } from '../protocol/identity.ts'
import { isSameOperation } from '../protocol/identity-operation.ts'
import type { Catalogue, RivalBranch } from './catalogue.ts'
import { contested } from './fork.ts'
import { applyCuts } from './retraction.ts'
import type { TrustPolicy } from './trust.ts'

/** Most publishers without a right to be listed; the one that came first goes first. */
export const MAX_STRANGERS = 1000

export interface AdmittedIdentity {
  readonly identity: Identity
  /** Whether the chain has changed. */
  readonly isNew: boolean
  /** Whether another branch has taken the place of ours. */
  readonly isReplaced: boolean
}

/** What is known of one publisher. */
interface Known {
  readonly identity: Identity
  readonly isContested: boolean
}

export class Identities {
  readonly #catalogue: Catalogue
  readonly #policy: () => TrustPolicy
  readonly #read = new Map<Cid, Known>()

  constructor(catalogue: Catalogue, policy: () => TrustPolicy) {
    this.#catalogue = catalogue
    this.#policy = policy
  }

  get(publisher: Cid): Identity | null {
    return this.#known(publisher)?.identity ?? null
  }

  /** Whether two branches of its chain are known, and neither has won. */
  isContested(publisher: Cid): boolean {
    return this.#known(publisher)?.isContested ?? false
  }

  #known(publisher: Cid): Known | null {
    const known = this.#read.get(publisher)
    if (known !== undefined) return known
    const operations = this.#catalogue.identityOps(publisher)
    if (operations.length === 0) return null
    // The catalogue only has operations that passed.
    const identity = expectOk(readIdentity(operations))
    const rival = this.#catalogue.rival(publisher)
    const isContested = rival !== null && this.#winner(identity, rival) === null
    const read = { identity, isContested }
    this.#read.set(publisher, read)
    return read
  }

  /**
   * Takes in operations of a chain, the first of them with number `from`. Those that are here
   * already are passed over. A branch that reveals the root keys which were committed to before
   * the fork takes the place of one that does not; the other one stays as evidence.
   *
   * Fails with GAP where operations before `from` are missing, CONTESTED where another valid
   * operation of a number is here and neither branch has won (both are kept), SEQ where ours has,
   * IDENTITY_INVALID where the chain is not that of `publisher`, and like `extendIdentity`; what
   * stood before the wrong one is kept.
   */
  admit(
    publisher: Cid,
    operations: readonly Uint8Array[],
    from: number,
  ): Verdict<AdmittedIdentity> {
    const here = this.#catalogue.identityOps(publisher)
    const rival = this.#catalogue.rival(publisher)
    const longest = Math.max(here.length, rival === null ? 0 : endOf(rival))
    if (from > longest) {
      return refuse('GAP', 'identity operations before these are missing here', {
        field: 'from',
        limit: longest,
        got: from,
      })
    }
    // Those that are here, whatever their signatures, say nothing new.
    const known = operations.findIndex((operation, index) => {
      const ours = here[from + index]
      return ours === undefined || !isSameOperation(ours, operation)
    })
    const first = known < 0 ? operations.length : known
    const rest = operations.slice(first)
    const n = from + first
    if (n < here.length && rest.length > 0) return this.#fork(publisher, n, rest)
    if (n > here.length) return this.#fork(publisher, n, rest)
    return this.#extend(publisher, rest)
  }

  /** Appends operations to the chain. */
  #extend(publisher: Cid, operations: readonly Uint8Array[]): Verdict<AdmittedIdentity> {
    const before = this.get(publisher)
    const { identity, passed, refused } = extendAll(before, operations)
    if (identity !== null && identity.publisher !== publisher) {
      return anotherChain(publisher, identity.publisher)
    }
    if (identity !== null && passed.length > 0) {
      this.#keep(publisher, before?.length ?? 0, passed)
      this.#dropStrangers(publisher)
    }
    const rival = this.#catalogue.rival(publisher)
    // They may follow the branch that is not followed here.
    if (refused?.code === 'PREV_UNKNOWN' && passed.length === 0 && rival !== null) {
      return this.#fork(publisher, before?.length ?? 0, operations)
    }
    if (refused !== null) return refused
    return identity === null
      ? refuse('IDENTITY_INVALID', 'an identity without operations')
      : accept({ identity, isNew: passed.length > 0, isReplaced: false })
  }

  /** Operations from number `n` on that are not those of the chain here. */
  #fork(publisher: Cid, n: number, operations: readonly Uint8Array[]): Verdict<AdmittedIdentity> {
    const here = this.#catalogue.identityOps(publisher)
    const ours = this.get(publisher)
    const rival = this.#catalogue.rival(publisher)
    let branch: RivalBranch = { from: n, operations }
    let extended = extendAll(this.#prefix(publisher, n), operations)
    const isAfterRival = rival !== null && rival.from < n && n <= endOf(rival)
    if (extended.passed.length === 0 && isAfterRival) {
      const all = [...rival.operations.slice(0, n - rival.from), ...operations]
      branch = { from: rival.from, operations: all }
      extended = extendAll(this.#prefix(publisher, rival.from), all)
    }
    const { identity, passed, refused } = extended
    if (passed.length === 0 || identity === null || ours === null) {
      return refused ?? refuse('IDENTITY_INVALID', 'an identity without operations')
    }
    if (identity.publisher !== publisher) return anotherChain(publisher, identity.publisher)

    const theirs = { from: branch.from, operations: passed }
    const winner = this.#winner(ours, theirs)
    if (winner === 'rival') {
      const lost = { from: branch.from, operations: here.slice(branch.from) }
      this.#keep(publisher, branch.from, passed, lost)
      return accept({ identity, isNew: true, isReplaced: true })
    }
    if (rival === null || isContinued(rival, theirs)) {
      this.#catalogue.putRival(publisher, theirs)
      this.#read.delete(publisher)
    }
    if (winner === null) return contested(publisher, null)
    return refuse('SEQ', 'a branch that lost: ours reveals the keys that were committed to', {
      field: 'n',
      got: branch.from,
    })
  }

  /**
   * Which branch of a chain stands: the one that reveals the root keys which were committed to
   * before the fork. A thief of the keys in force cannot; null where both do or neither.
   */
  #winner(ours: Identity, { from, operations }: RivalBranch): 'ours' | 'rival' | null {
    const base = this.#prefix(ours.publisher, from)
    const rival = extendAll(base, operations).identity
    const before = base?.rotations ?? 0
    const [weReveal, theyReveal] = [ours, rival].map((each) => (each?.rotations ?? 0) > before)
    if (weReveal === theyReveal) return null
    return weReveal ? 'ours' : 'rival'
  }

  /** The first operations of a chain. */
  #prefix(publisher: Cid, length: number): Identity | null {
    const operations = this.#catalogue.identityOps(publisher).slice(0, length)
    return operations.length === 0 ? null : expectOk(readIdentity(operations))
  }

  /** Lets operations take the place of those from number `from` on, and applies what they say. */
  #keep(
    publisher: Cid,
    from: number,
    operations: readonly Uint8Array[],
    lost: RivalBranch | null = null,
  ): void {
    this.#read.delete(publisher)
    this.#catalogue.transaction(() => {
      if (lost !== null) {
        this.#catalogue.dropIdentityOps(publisher, from)
        this.#catalogue.putRival(publisher, lost)
      }
      operations.forEach((operation, index) => {
        this.#catalogue.putIdentityOp(publisher, from + index, operation)
      })
      applyCuts(this.#catalogue, expectOk(readIdentity(this.#catalogue.identityOps(publisher))))
    })
  }

  #dropStrangers(newest: Cid): void {
    if (this.#policy().may(newest, 'list')) return
    const strangers = this.#catalogue
      .publishers()
      .filter(
        (each) => !this.#policy().may(each, 'list') && this.#catalogue.logs(each).length === 0,
      )
    for (const stranger of strangers.slice(0, Math.max(0, strangers.length - MAX_STRANGERS))) {
      this.#catalogue.dropPublisher(stranger)
      this.#read.delete(stranger)
    }
  }
}

/** As many operations as are valid one after the other, and why the next one is not. */
function extendAll(
  before: Identity | null,
  operations: readonly Uint8Array[],
): {
  readonly identity: Identity | null
  readonly passed: readonly Uint8Array[]
  readonly refused: Failure | null
} {
  let identity = before
  for (const [index, operation] of operations.entries()) {
    const extended = extendIdentity(identity, operation)
    if (!extended.ok) return { identity, passed: operations.slice(0, index), refused: extended }
    identity = extended.value
  }
  return { identity, passed: operations, refused: null }
}

const endOf = ({ from, operations }: RivalBranch): number => from + operations.length

/** Whether a branch is another one with more operations. */
const isContinued = (before: RivalBranch, after: RivalBranch): boolean =>
  before.from === after.from &&
  before.operations.every((each, index) => {
    const other = after.operations[index]
    return other !== undefined && isSameOperation(each, other)
  })

const anotherChain = (publisher: Cid, got: Cid): Failure =>
  refuse('IDENTITY_INVALID', 'the chain of another publisher', { limit: publisher, got })
