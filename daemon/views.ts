/** Rows of the registry as the JSON of `/v1` (protocol/api.ts). */
import type { ModelSummary, ModelView, PublisherView, WithdrawalView } from '../protocol/api.ts'
import type { Cid } from '../protocol/cid.ts'
import {
  type TensorDescription,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../protocol/model-description.ts'
import type { ModelRow } from '../registry/catalogue.ts'
import type { Registry } from '../registry/registry.ts'
import { whyNotRunnable } from './runnable.ts'

export class Views {
  readonly #registry: Registry

  constructor(registry: Registry) {
    this.#registry = registry
  }

  publisher(id: Cid): PublisherView {
    const { trust, handles } = this.#registry
    const profile = this.#registry.profile(id)
    return {
      id,
      label: profile?.label ?? null,
      displayName: profile?.displayName ?? null,
      petname: trust.petname(id),
      handle: profile?.handle ?? null,
      handleVerified: profile !== null && handles.isVerified(profile),
      handleProblem: profile === null ? null : handles.problem(profile),
      right: trust.right(id),
      send: trust.maySend(id),
    }
  }

  /** Its petname, else its label, else its handle, where that names it alone; else its id. */
  nameOf(publisher: Cid): string {
    const registry = this.#registry
    const { label = null, handle = null } = registry.profile(publisher) ?? {}
    const names = [registry.trust.petname(publisher), label, handle]
    for (const name of names) {
      const found = name === null ? null : registry.resolvePublisher(name)
      if (name !== null && found?.ok && found.value === publisher) return name
    }
    return publisher
  }

  /** A reference that finds the version here. */
  ref({ publisher, name, version }: Pick<ModelRow, 'publisher' | 'name' | 'version'>): string {
    return `${this.nameOf(publisher)}/${name}@${version}`
  }

  summary(model: ModelRow): ModelSummary {
    const { description } = model
    const reason = whyNotRunnable(this.#registry, model)
    return {
      ref: this.ref(model),
      record: model.record,
      root: model.root,
      publisher: this.publisher(model.publisher),
      name: model.name,
      version: model.version,
      title: description.name,
      description: description.description,
      license: description.license,
      tags: description.tags,
      published: new Date(model.ts).toISOString(),
      weights: weightsOf(model),
      inputs: description.inputs.map(axesOf),
      tested: model.tested,
      withdrawn: model.withdrawn,
      audience: this.#audience(model.record),
      held: this.#registry.holding(model.record).complete,
      replicas:
        this.#registry.audiences.ofRecord(model.record) === null
          ? this.#registry.holders(model.record).length
          : null,
      floor: this.#registry.mirrorDecision(model).floor,
      runnable: { here: reason === null, reason: reason?.message ?? null },
    }
  }

  #audience(record: Cid): readonly string[] | null {
    const audience = this.#registry.audiences.ofRecord(record)
    if (audience === null) return null
    const rosters = audience.rosters.map(
      ({ publisher, name }) => `roster ${name} of ${this.nameOf(publisher)}`,
    )
    return [...audience.publishers.map((each) => this.nameOf(each)), ...rosters]
  }

  model(model: ModelRow): ModelView {
    const registry = this.#registry
    const { key, epoch, seq } = registry.record(model.record).record
    const missing = new Set(registry.holding(model.record).missing.map(({ cid }) => cid))
    return {
      ...this.summary(model),
      key,
      position: { epoch, seq },
      files: model.files.map((file) => ({ ...file, held: !missing.has(file.cid) })),
      holders: registry.holders(model.record).map((each) => this.publisher(each)),
      fetch: registry.mirrorDecision(model).fetch,
      pinned: registry.trust.mirror.pins.includes(model.record),
      bytes: model.files.reduce((sum, { size }) => sum + size, 0),
      aliases: model.aliases,
      versions: registry
        .versions(model.publisher, model.name)
        .filter(({ withdrawn }) => withdrawn !== 'erase')
        .map(({ version, record }) => ({ version, record })),
      withdrawals: this.#withdrawals(model),
      sameFiles: this.#sameFiles(model),
      card: model.description,
    }
  }

  #withdrawals({ publisher, record }: ModelRow): readonly WithdrawalView[] {
    const { catalogue } = this.#registry
    return catalogue.withdrawals(publisher, record).flatMap(({ record: id, verb, isRestored }) => {
      const statement = this.#registry.record(id).record
      if (statement.kind !== 'withdraw') return []
      const { reason, note } = statement.body
      const published = new Date(statement.ts).toISOString()
      return [{ record: id, verb, reason, note, published, restored: isRestored }]
    })
  }

  /** What others published of the same root: a withdrawal is of one record, and users should know. */
  #sameFiles({ root, record }: ModelRow): ModelView['sameFiles'] {
    const { catalogue, trust } = this.#registry
    return catalogue
      .modelsByRoot(root)
      .filter((each) => each.record !== record && trust.may(each.publisher, 'list'))
      .map((each) => ({ ref: this.ref(each), record: each.record, withdrawn: each.withdrawn }))
  }
}

/** Axis ids of a tensor, with the number of channels where that is fixed: `channel:3,y,x`. */
const axesOf = ({ axes }: TensorDescription): string =>
  axes
    .map(({ type, id, size }) =>
      type === 'channel' && size.kind === 'fixed' ? `${id}:${size.size}` : id,
    )
    .join(',')

/** Weight formats that the record carries, not merely names. */
function weightsOf(model: ModelRow): WeightFormat[] {
  const paths = new Set(model.files.map((file) => file.path))
  return WEIGHT_FORMATS.filter((format) =>
    model.description.weights.some(
      (entry) => entry.format === format && paths.has(entry.source.source),
    ),
  )
}
