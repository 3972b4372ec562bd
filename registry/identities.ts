/** The identity chains that this node keeps, its own and those of others. */
import { Buffer } from 'node:buffer'
import { equalBytes } from '../protocol/bytes.ts'
import type { Cid } from '../protocol/cid.ts'
import { accept, expectOk, refuse, type Verdict } from '../protocol/errors.ts'
import { extendIdentity, type Identity, readIdentity } from '../protocol/identity.ts'
import type { Catalogue } from './catalogue.ts'
import type { TrustPolicy } from './trust.ts'

/** Most publishers without a right to be listed; the one that came first goes first. */
export const MAX_STRANGERS = 1000

export class Identities {
  readonly #catalogue: Catalogue
  readonly #policy: () => TrustPolicy
  readonly #read = new Map<Cid, Identity>()

  constructor(catalogue: Catalogue, policy: () => TrustPolicy) {
    this.#catalogue = catalogue
    this.#policy = policy
  }

  get(publisher: Cid): Identity | null {
    const known = this.#read.get(publisher)
    if (known !== undefined) return known
    const operations = this.#catalogue.identityOps(publisher)
    if (operations.length === 0) return null
    // The catalogue only has operations that passed.
    const identity = expectOk(readIdentity(operations))
    this.#read.set(publisher, identity)
    return identity
  }

  /** Whether two valid operations of one number are known. */
  isContested(publisher: Cid): boolean {
    return this.#catalogue.setting(contestedKey(publisher)) !== null
  }

  /**
   * Takes in operations of a chain, the first of them with number `from`. Those that are here
   * already are passed over.
   *
   * Fails with GAP where operations before `from` are missing, CONTESTED where another valid
   * operation of a number is here (which is remembered), IDENTITY_INVALID where the chain is not
   * that of `publisher`, and like `extendIdentity`; what stood before the wrong one is kept.
   *
   * @returns the identity, and whether the chain has grown
   */
  admit(
    publisher: Cid,
    operations: readonly Uint8Array[],
    from: number,
  ): Verdict<{ readonly identity: Identity; readonly isNew: boolean }> {
    const here = this.#catalogue.identityOps(publisher)
    if (from > here.length) {
      return refuse('GAP', 'identity operations before these are missing here', {
        field: 'from',
        limit: here.length,
        got: from,
      })
    }
    let identity = this.get(publisher)
    let refused: Verdict<never> | null = null
    const passed: Uint8Array[] = []
    for (const [index, operation] of operations.entries()) {
      const ours = here[from + index]
      if (ours !== undefined && equalBytes(ours, operation)) continue
      const extended: Verdict<Identity> =
        ours === undefined
          ? extendIdentity(identity, operation)
          : this.#compare(here.slice(0, from + index), ours, operation)
      if (!extended.ok) {
        refused = extended
        break
      }
      if (ours !== undefined) continue
      if (extended.value.publisher !== publisher) {
        refused = refuse('IDENTITY_INVALID', 'the chain of another publisher', {
          limit: publisher,
          got: extended.value.publisher,
        })
        break
      }
      identity = extended.value
      passed.push(operation)
    }
    if (identity !== null && passed.length > 0) this.#keep(identity, passed)
    if (refused !== null) return refused
    return identity === null
      ? refuse('IDENTITY_INVALID', 'an identity without operations')
      : accept({ identity, isNew: passed.length > 0 })
  }

  /** Compares an operation with the one of the same number, of other bytes, that is here. */
  #compare(before: readonly Uint8Array[], ours: Uint8Array, theirs: Uint8Array): Verdict<Identity> {
    const known = expectOk(readIdentity([...before, ours]))
    const start = before.length === 0 ? null : expectOk(readIdentity(before))
    const other = extendIdentity(start, theirs)
    // The same operation may carry other signatures.
    if (!other.ok || other.value.tip === known.tip) return other
    // Another first operation is another publisher, no fork.
    if (other.value.publisher !== known.publisher) {
      return refuse('IDENTITY_INVALID', 'the chain of another publisher', {
        limit: known.publisher,
        got: other.value.publisher,
      })
    }
    const proof = Buffer.from(theirs).toString('base64')
    this.#catalogue.putSetting(contestedKey(known.publisher), proof)
    return refuse('CONTESTED', 'the publisher has signed two operations of one number', {
      field: 'n',
      got: before.length,
      hint: 'nothing new of this publisher is taken in; ask the institution',
    })
  }

  #keep(identity: Identity, operations: readonly Uint8Array[]): void {
    const { publisher, length } = identity
    this.#catalogue.transaction(() => {
      operations.forEach((operation, index) => {
        this.#catalogue.putIdentityOp(publisher, length - operations.length + index, operation)
      })
      this.#dropStrangers(publisher)
    })
    this.#read.set(publisher, identity)
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

const contestedKey = (publisher: Cid): string => `contested/${publisher}`
