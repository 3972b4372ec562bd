/**
 * Publishing at the daemon: an uploaded zip is read and checked whole, its own test runs in the
 * engine's sandbox, and only then does the registry keep and sign anything.
 */
import type { PublishView } from '../protocol/api.ts'
import { cidOf } from '../protocol/cid.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { type Package, readPackage } from '../registry/package.ts'
import { openZip, type PackageSource } from '../registry/package-source.ts'
import type { Registry } from '../registry/registry.ts'
import type { PublishOptions } from './http/node-api.ts'
import type { Inference, RunnableModel } from './inference/inference.ts'
import { collect, copyFrom } from './package-files.ts'
import { bareName } from './runnable.ts'
import type { SelfCheck } from './self-check.ts'
import type { Views } from './views.ts'

/** Longest that a card's own test may take: 5 minutes. */
export const TEST_DEADLINE_MS = 300_000

export interface PublishingOptions {
  readonly registry: Registry
  readonly inference: Pick<Inference, 'reproduce'>
  readonly views: Views
  readonly self: Pick<SelfCheck, 'settled'>
}

export class Publishing {
  readonly #options: PublishingOptions

  constructor(options: PublishingOptions) {
    this.#options = options
  }

  /**
   * @param path of a complete zip
   * @throws ZoariumError with every finding as an issue; nothing is kept then
   */
  async publish(path: string, options: PublishOptions, signal: AbortSignal): Promise<PublishView> {
    const source = expectOk(await openZip(path))
    try {
      const pkg = expectOk(
        await readPackage(source, options.weights === null ? {} : { weights: options.weights }),
      )
      const { registry, views, self } = this.#options
      const { name, version, dryRun, untested } = options
      // Before the test, which may take minutes.
      const { private: isPrivate } = options
      if (isPrivate) registry.signer.device('private')
      const plan = expectOk(
        registry.planPublication(pkg, { name, version, tested: 'untested', isPrivate }),
      )
      const test = untested ? null : await this.#test(pkg, source, signal)
      const tested = test === null ? 'untested' : 'reproduced'
      if (!dryRun) await self.settled()
      signal.throwIfAborted()
      const signed = dryRun ? null : await registry.publish(pkg, source, { ...plan, tested })
      return {
        dryRun,
        record: signed?.id ?? null,
        ref: views.ref({ ...plan, publisher: registry.publisher }),
        name: plan.name,
        version: plan.version,
        root: signed?.record.kind === 'model' ? signed.record.body.root : null,
        files: pkg.files.map(({ path, size, role }) => ({ path, size, role })),
        bytes: pkg.files.reduce((sum, { size }) => sum + size, 0),
        tested,
        test,
        warnings: pkg.warnings,
      }
    } finally {
      await source.close()
    }
  }

  /**
   * Runs the card's test; null where there is nothing that this node could run.
   * @throws ZoariumError TEST_FAILED beyond the card's tolerance, and what the engine throws
   */
  async #test(
    pkg: Package,
    source: PackageSource,
    signal: AbortSignal,
  ): Promise<PublishView['test']> {
    const model = testableModel(pkg, source)
    if (model === null) return null
    const result = await this.#options.inference.reproduce(model, (path) => collect(source, path), {
      deadlineMs: TEST_DEADLINE_MS,
      signal,
    })
    const { ok, worstAbsolute, mismatchedPerMillion, at, computeMs } = result
    if (!ok) {
      throw new ZoariumError('TEST_FAILED', "the model does not give the card's test output", {
        ...(at === null ? {} : { field: `${at.output}[${at.index.join(', ')}]` }),
        got: `${mismatchedPerMillion} per million beyond the tolerance, worst ${worstAbsolute}`,
        hint: 'mend the test tensors or the weights, or publish with --untested',
      })
    }
    return { worstAbsolute, mismatchedPerMillion, ms: computeMs }
  }
}

/** The package as the engine takes it, where ONNX weights and all test tensors are in it. */
function testableModel(pkg: Package, source: PackageSource): RunnableModel | null {
  const { description } = pkg
  const onnx = description.weights.find(({ format }) => format === 'onnx')
  const sizes = new Map(pkg.files.map(({ path, size }) => [path, size]))
  const tensors = [...description.inputs, ...description.outputs].map(
    ({ testTensor }) => testTensor?.source,
  )
  if (onnx === undefined || tensors.some((path) => path === undefined || !sizes.has(path))) {
    return null
  }
  const names = [onnx.source.source, onnx.externalData?.source].flatMap((path) => path ?? [])
  if (names.some((path) => !sizes.has(path))) return null
  const card = cidOf('raw', pkg.card)
  return {
    record: card,
    description,
    engineModel: {
      id: card,
      main: bareName(onnx.source.source),
      files: names.map((path) => ({
        name: bareName(path),
        size: sizes.get(path) ?? 0,
        copyTo: (target) => copyFrom(source, path, target),
      })),
    },
  }
}
