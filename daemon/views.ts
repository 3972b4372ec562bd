/** Rows of the registry as the JSON of `/v1` (protocol/api.ts). */
import type { ModelFileView, ModelSummary, ModelView, PublisherView } from '../protocol/api.ts'
import type { Cid } from '../protocol/cid.ts'
import type { WeightFormat } from '../protocol/model-description.ts'
import { WEIGHT_FORMATS } from '../protocol/model-description.ts'
import type { ModelRow } from '../registry/catalogue.ts'
import type { Registry } from '../registry/registry.ts'
import { whyNotRunnable } from './runnable.ts'

export class Views {
  readonly #registry: Registry

  constructor(registry: Registry) {
    this.#registry = registry
  }

  publisher(id: Cid): PublisherView {
    const { trust } = this.#registry
    const profile = this.#registry.profile(id)
    return {
      id,
      label: profile?.label ?? null,
      displayName: profile?.displayName ?? null,
      petname: trust.petname(id),
      right: trust.right(id),
      send: trust.maySend(id),
    }
  }

  /** `petname|label/name@version`; the publisher's id where neither names it alone. */
  ref(model: ModelRow): string {
    return `${this.#nameOf(model.publisher)}/${model.name}@${model.version}`
  }

  #nameOf(publisher: Cid): string {
    const profile = this.#registry.profile(publisher)
    for (const name of [this.#registry.trust.petname(publisher), profile?.label ?? null]) {
      if (name === null) continue
      const found = this.#registry.resolvePublisher(name)
      if (found.ok && found.value === publisher) return name
    }
    return publisher
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
      inputs: description.inputs.map((input) =>
        input.axes
          .map((axis) =>
            axis.type === 'channel' && axis.size.kind === 'fixed'
              ? `${axis.id}:${axis.size.size}`
              : axis.id,
          )
          .join(','),
      ),
      tested: model.tested,
      withdrawn: model.withdrawn,
      held: this.#registry.holding(model.record).complete,
      runnable: { here: reason === null, reason: reason?.message ?? null },
    }
  }

  model(model: ModelRow): ModelView {
    const { registry, record } = { registry: this.#registry, record: model.record }
    const signed = registry.record(record)
    const missing = new Set(registry.holding(record).missing.map((file) => file.cid))
    const files: ModelFileView[] = model.files.map((file) => ({
      ...file,
      held: !missing.has(file.cid),
    }))
    return {
      ...this.summary(model),
      key: signed.record.key,
      position: { epoch: signed.record.epoch, seq: signed.record.seq },
      files,
      bytes: files.reduce((sum, file) => sum + file.size, 0),
      aliases: model.aliases,
      versions: registry
        .versions(model.publisher, model.name)
        .map(({ version, record }) => ({ version, record })),
      card: model.description,
    }
  }
}

/** Weight formats that the record carries, not merely names. */
function weightsOf(model: ModelRow): WeightFormat[] {
  const paths = new Set(model.files.map((file) => file.path))
  return WEIGHT_FORMATS.filter((format) =>
    model.description.weights.some(
      (entry) => entry.format === format && paths.has(entry.source.source),
    ),
  )
}
