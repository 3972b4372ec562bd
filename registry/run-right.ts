/**
 * Whether a model may run: the one rule for every road to running it, here and elsewhere. Either its
 * publisher has the right `run`, or a rule of the policy file takes the word of enough others. Models
 * of equal `root` are one model, so attestations count by `root`, at most one of each publisher.
 */
import { isVouching } from '../protocol/attestation.ts'
import type { Cid } from '../protocol/cid.ts'
import { accept, refuse, type Verdict } from '../protocol/errors.ts'
import type { AttestationRow, Catalogue, ModelRow } from './catalogue.ts'
import type { Grant, RunRule, TrustPolicy } from './trust.ts'

/** Why a model may run. */
export type RunGrant =
  | { readonly because: 'publisher'; readonly grant: Grant }
  | { readonly because: 'attested'; readonly rule: RunRule; readonly by: readonly Cid[] }

/** An attestation of a model, and whether rules may count it. */
export interface JudgedAttestation extends AttestationRow {
  /** Why it counts for nothing; null: it counts where a rule names its publisher. */
  readonly void: string | null
}

export interface RunRightParts {
  readonly catalogue: Pick<Catalogue, 'attestations' | 'attestedRoots' | 'model' | 'modelsByRoot'>
  readonly policy: () => TrustPolicy
  /** Whether a record is at a fork or after it. */
  readonly isContested: (record: Cid) => boolean
  /** Whether a record came after the end of its key, and nobody has vouched for it. */
  readonly isUnclosed: (record: Cid) => boolean
}

export class RunRight {
  readonly #parts: RunRightParts
  #attested: readonly Cid[] | null = null

  constructor(parts: RunRightParts) {
    this.#parts = parts
  }

  /** Fails with TRUST; the hint says what would let it run. */
  of(model: ModelRow): Verdict<RunGrant> {
    const policy = this.#parts.policy()
    const { publisher } = model
    const grant = policy.grant(publisher)
    if (policy.may(publisher, 'run')) return accept({ because: 'publisher', grant })
    const rules = this.rulesFor(model)
    const vouchers = rules.length === 0 ? new Set<Cid>() : this.#vouchers(model)
    for (const rule of rules) {
      const by = rule.of.filter((each) => vouchers.has(each))
      if (by.length >= rule.attested) return accept({ because: 'attested', rule, by })
    }
    const hint = `zoarium trust add ${publisher} run`
    const [rule] = rules
    if (rule === undefined) {
      const message = 'no rule lets models of that publisher run'
      return refuse('TRUST', message, { field: publisher, hint })
    }
    const count = rule.of.filter((each) => vouchers.has(each)).length
    const message = `no rule lets it run: ${count} of the ${rule.attested} publishers that are needed vouch for it`
    return refuse('TRUST', message, {
      field: publisher,
      hint: `wait for more attestations (zoarium trust explain ${model.record}), or: ${hint}`,
    })
  }

  /** Rules by which a model could run, whatever its attestations; none for publishers unlisted here. */
  rulesFor({ publisher }: ModelRow): readonly RunRule[] {
    const policy = this.#parts.policy()
    if (!policy.may(publisher, 'list')) return []
    return policy.run.filter(
      ({ publishers }) => publishers === null || publishers.includes(publisher),
    )
  }

  /** All attestations of a model here, by record id. */
  attestations(model: ModelRow): readonly JudgedAttestation[] {
    return this.#parts.catalogue
      .attestations(model.root)
      .map((row) => ({ ...row, void: this.#whyVoid(row) }))
  }

  /** Publishers that vouch for a model. */
  #vouchers(model: ModelRow): ReadonlySet<Cid> {
    const counting = this.attestations(model).filter((each) => each.void === null)
    return new Set(counting.map(({ publisher }) => publisher))
  }

  #whyVoid({ record, publisher, target, root, claim, isWithdrawn }: AttestationRow): string | null {
    const { catalogue, policy, isContested, isUnclosed } = this.#parts
    if (!isVouching(claim)) return 'the claim informs and does not vouch'
    if (isWithdrawn) return 'withdrawn'
    if (!policy().may(publisher, 'list')) return 'its publisher is not listed here'
    if (isContested(record)) return 'its log or publisher has forked'
    if (isUnclosed(record)) return 'it came after the end of its key'
    const model = catalogue.model(target)
    return model === null || model.root === root ? null : 'its target has other files'
  }

  /**
   * Models that run because others vouch for them, of publishers without the right `run`: by root,
   * then record id; not what was recalled or erased. Kept until {@link forget}, since it is asked
   * for at every record; whether a model may run now is for `of` to say.
   */
  attestedModels(): readonly Cid[] {
    this.#attested ??= this.#findAttested()
    return this.#attested
  }

  /** Something may have changed. */
  forget(): void {
    this.#attested = null
  }

  #findAttested(): readonly Cid[] {
    const { catalogue, policy } = this.#parts
    const roots = policy().run.flatMap(({ of, attested }) => catalogue.attestedRoots(of, attested))
    return [...new Set(roots)]
      .sort()
      .flatMap((root) => catalogue.modelsByRoot(root))
      .filter(
        (model) =>
          (model.withdrawn === null || model.withdrawn === 'yank') &&
          !policy().may(model.publisher, 'run') &&
          this.of(model).ok,
      )
      .map(({ record }) => record)
  }
}
