/**
 * Attesting: what this institution states of a model, its own or another's. `reproduced` is stated
 * only after the card's own test gave its output on this node; the other claims are words of people.
 */
import type { Claim } from '../protocol/attestation.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import type { SignedRecord } from '../protocol/record.ts'
import { VERSION } from '../protocol/version.ts'
import type { ModelRow } from '../registry/catalogue.ts'
import type { Registry } from '../registry/registry.ts'
import type { Engine } from './inference/engine.ts'
import type { Inference } from './inference/inference.ts'
import { TEST_DEADLINE_MS } from './publishing.ts'
import { testableOf } from './runnable.ts'
import type { SelfCheck } from './self-check.ts'

export interface AttestingOptions {
  readonly registry: Registry
  readonly inference: Pick<Inference, 'reproduce'>
  readonly engine: Pick<Engine, 'version' | 'executionProviders'>
  readonly self: Pick<SelfCheck, 'settled'>
}

export class Attesting {
  readonly #options: AttestingOptions

  constructor(options: AttestingOptions) {
    this.#options = options
  }

  /**
   * @param note for people; empty: none
   * @throws ZoariumError TEST_FAILED beyond the card's tolerance, CARD_INVALID without test tensors,
   * RECALLED, CONTESTED, MODEL_UNSUPPORTED or BLOB_MISSING where the model cannot be tested here,
   * and like `Registry.attest`
   */
  async attest(
    model: ModelRow,
    claim: Claim,
    note: string,
    signal: AbortSignal,
  ): Promise<SignedRecord> {
    const { registry, self } = this.#options
    const secret = registry.whySecret(model.record)
    if (secret !== null) throw ZoariumError.of(secret)
    const result = claim === 'reproduced' ? await this.#reproduce(model, signal) : {}
    await self.settled()
    signal.throwIfAborted()
    return registry.attest(model, claim, { ...result, ...(note === '' ? {} : { note }) })
  }

  async #reproduce(model: ModelRow, signal: AbortSignal) {
    const { registry, inference, engine } = this.#options
    const testable = expectOk(testableOf(registry, model))
    const read = (path: string): Promise<Uint8Array> => readFile(registry, model, path)
    const limits = { deadlineMs: TEST_DEADLINE_MS, signal }
    const result = await inference.reproduce(testable, read, limits)
    const { ok, worstAbsolute, mismatchedPerMillion, computeMs } = result
    if (!ok) {
      throw new ZoariumError('TEST_FAILED', "the model does not give the card's test output here", {
        got: `${mismatchedPerMillion} per million beyond the tolerance, worst ${worstAbsolute}`,
        hint: 'nothing was signed; to warn others: --claim advisory --note TEXT',
      })
    }
    return {
      mismatchedPerMillion,
      ms: Math.round(computeMs),
      engine: engine.version,
      provider: engine.executionProviders[0] ?? 'cpu',
      program: `zoarium/${VERSION}`,
    }
  }
}

/** A small file's bytes; the package was checked for it when it was published. */
async function readFile(registry: Registry, model: ModelRow, path: string): Promise<Uint8Array> {
  const file = model.files.find((each) => each.path === path)
  if (file === undefined) {
    throw new ZoariumError('CARD_INVALID', 'the record has no file of the test', { field: path })
  }
  const chunks: Uint8Array[] = []
  for await (const chunk of await registry.blobs.open(file.cid)) chunks.push(chunk)
  return Buffer.concat(chunks)
}
