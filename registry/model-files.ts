/** Which files of which models are here, which are to come, and who may read them. */
import type { Cid } from '../protocol/cid.ts'
import type { Audiences } from './audiences.ts'
import type { BlobStore } from './blob-store.ts'
import type { Catalogue, ModelFileRow, ModelRow } from './catalogue.ts'
import { decideMirror, type MirrorDecision } from './mirror-rules.ts'
import type { RunRight } from './run-right.ts'
import type { TrustPolicy } from './trust.ts'

/** What of a model's files is here. */
export interface Holding {
  readonly complete: boolean
  readonly missing: readonly ModelFileRow[]
}

export interface ModelFilesParts {
  readonly catalogue: Catalogue
  readonly blobs: BlobStore
  readonly audiences: Audiences
  readonly runRight: RunRight
  readonly policy: () => TrustPolicy
}

export class ModelFiles {
  readonly #parts: ModelFilesParts
  /** What was found of each model: complete until a blob goes, lacking until one comes. */
  #found = { complete: new Set<Cid>(), lacking: new Set<Cid>(), losses: 0 }
  /** What the rules say of each model, as long as they are the same. */
  #decided: { readonly policy: TrustPolicy | null; readonly of: Map<Cid, MirrorDecision> } = {
    policy: null,
    of: new Map(),
  }

  constructor(parts: ModelFilesParts) {
    this.#parts = parts
  }

  /** Records may have been taken back. */
  recordsGone(): void {
    this.#found.complete.clear()
    this.#decided.of.clear()
  }

  /** Files have come; null: of any model. */
  filesCame(records: readonly Cid[] | null): void {
    if (records === null) this.#found.lacking.clear()
    else for (const record of records) this.#found.lacking.delete(record)
  }

  /** What of a model's files is here; a record that is no model here is not complete. */
  holding(record: Cid): Holding {
    const { blobs, catalogue } = this.#parts
    const { losses } = blobs
    if (losses !== this.#found.losses) this.#found = { ...this.#found, complete: new Set(), losses }
    const { complete, lacking } = this.#found
    if (complete.has(record)) return { complete: true, missing: [] }
    const model = catalogue.model(record)
    const missing = (model?.files ?? []).filter((file) => blobs.stat(file.cid) === null)
    const isComplete = model !== null && missing.length === 0
    if (isComplete) {
      complete.add(record)
      lacking.delete(record)
    } else if (model !== null) lacking.add(record)
    return { complete: isComplete, missing }
  }

  /** Like {@link holding}, without a look at what was found lacking and got no file since. */
  #isComplete(record: Cid): boolean {
    return !this.#found.lacking.has(record) && this.holding(record).complete
  }

  /** Whether files of a model may be held: those of what runs, too. */
  mayMirror(model: ModelRow): boolean {
    const { policy, runRight } = this.#parts
    return policy().may(model.publisher, 'mirror') || runRight.of(model).ok
  }

  /** Models whose files this node may hold, own ones first; recalled ones are left out. */
  mirrored(): readonly Cid[] {
    const { policy, catalogue, runRight } = this.#parts
    const followed = policy()
      .with('mirror')
      .flatMap((publisher) => catalogue.modelIds(publisher))
    return [...new Set([...followed, ...runRight.attestedModels()])]
  }

  /** What the mirror rules say of a model. */
  decision(model: ModelRow): MirrorDecision {
    const policy = this.#parts.policy()
    if (policy !== this.#decided.policy) this.#decided = { policy, of: new Map() }
    const { of } = this.#decided
    const decided = of.get(model.record) ?? decideMirror(policy.mirror, policy.own, model)
    // Without its card nothing is known of it yet.
    if (model.description.inputs.length > 0) of.set(model.record, decided)
    return decided
  }

  /** Models that this node fetches by itself and does not hold in full. */
  incomplete(): readonly Cid[] {
    return this.mirrored().filter((record) => !this.#isComplete(record) && this.#isWanted(record))
  }

  #isWanted(record: Cid): boolean {
    const { policy, of } = this.#decided
    const known = policy === this.#parts.policy() ? of.get(record) : undefined
    if (known !== undefined) return known.fetch === 'always'
    const model = this.#parts.catalogue.model(record)
    return model !== null && this.decision(model).fetch === 'always'
  }

  /** Whether a model is kept whatever else needs the room. */
  isFirm(model: ModelRow): boolean {
    return (
      model.publisher === this.#parts.policy().own ||
      (this.decision(model).fetch === 'always' &&
        model.withdrawn !== 'recall' &&
        this.mayMirror(model))
    )
  }

  /** Models that may run here and are whole, own ones first; recalled ones are left out. */
  *runnable(): Generator<Cid> {
    const { policy, catalogue, runRight } = this.#parts
    for (const publisher of policy().with('run')) {
      for (const record of catalogue.modelIds(publisher)) {
        if (this.#isComplete(record)) yield record
      }
    }
    for (const record of runRight.attestedModels()) {
      if (this.#isComplete(record)) yield record
    }
  }

  /**
   * Whether a peer may read a blob: a model that is mirrored here, is not erased and is for that
   * peer names it.
   * @param reader publisher of the peer, or null
   */
  isShared(cid: Cid, reader: Cid | null): boolean {
    const { catalogue, audiences } = this.#parts
    return catalogue.recordsWithFile(cid).some((record) => {
      const model = catalogue.model(record)
      return (
        model !== null &&
        model.withdrawn !== 'erase' &&
        this.mayMirror(model) &&
        audiences.mayReadRecord(record, reader)
      )
    })
  }
}
