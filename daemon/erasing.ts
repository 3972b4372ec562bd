/** Erasures as the operator sees and makes them. */
import type { CollectedView, ErasureView, GarbageView } from '../protocol/api.ts'
import { parseCid } from '../protocol/cid.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { dueAt, GC_GRACE_MS } from '../registry/erasure.ts'
import type { Registry } from '../registry/registry.ts'
import type { Views } from './views.ts'

export class Erasing {
  readonly #registry: Registry
  readonly #views: Views

  constructor({ registry, views }: { readonly registry: Registry; readonly views: Views }) {
    this.#registry = registry
    this.#views = views
  }

  list(): readonly ErasureView[] {
    const { catalogue } = this.#registry
    const waiting = new Set(catalogue.unstripped().map(({ record }) => record))
    return this.#registry.erasures().flatMap((erasure) => {
      const { record, since, isHere } = erasure
      const model = catalogue.model(record)
      if (model === null) return []
      return {
        record,
        publisher: this.#views.publisher(model.publisher),
        name: model.name,
        version: model.version,
        by: isHere ? ('operator' as const) : ('publisher' as const),
        since: new Date(since).toISOString(),
        due: new Date(dueAt(erasure)).toISOString(),
        gone: !waiting.has(record),
      }
    })
  }

  /** @throws ZoariumError as `resolve`, STORE, DISK_FULL */
  async eraseHere(ref: string): Promise<CollectedView> {
    // By its id also one whose publisher may not be listed any more.
    const id = parseCid(ref)
    const named = id.ok ? this.#registry.catalogue.model(id.value) : null
    return this.#registry.eraseHere(named ?? expectOk(this.#registry.resolveWithErased(ref)))
  }

  /** @throws ZoariumError as `resolve`, NOT_FOUND where the operator did not erase it, STORE, DISK_FULL */
  restoreHere(ref: string): readonly ErasureView[] {
    const model = expectOk(this.#registry.resolveWithErased(ref))
    const erasure = this.#registry.erasures().find((each) => each.record === model.record)
    if (erasure?.isHere !== true) {
      throw new ZoariumError('NOT_FOUND', 'no such model was erased on this node alone', {
        got: model.record,
        hint: 'what its publisher erased, its publisher restores',
      })
    }
    this.#registry.restoreHere(model)
    return this.list()
  }

  /** @param isNow without the grace */
  async collectGarbage(isNow: boolean): Promise<GarbageView> {
    const { count, bytes, waiting } = await this.#registry.collectAll(isNow ? 0 : GC_GRACE_MS)
    const until = waiting.until === null ? null : new Date(waiting.until).toISOString()
    return { count, bytes, waiting: { ...waiting, until } }
  }
}
