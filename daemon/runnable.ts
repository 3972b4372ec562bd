/** Whether this node may and can run a model, and what the engine then gets. */
import { accept, type Failure, refuse, type Verdict, ZoariumError } from '../protocol/errors.ts'
import type { ModelRow } from '../registry/catalogue.ts'
import type { Registry } from '../registry/registry.ts'
import type { RunnableModel } from './inference/inference.ts'

/** The first rule that keeps the model from running here; null: it runs. */
export const whyNotRunnable = (registry: Registry, model: ModelRow): Failure | null =>
  whyForbidden(registry, model) ?? whyUnable(registry, model)

/** What keeps this node from running it, whatever the rules say. */
function whyUnable(registry: Registry, model: ModelRow): Failure | null {
  const failure = whyUnsupported(model)
  if (failure !== null || registry.holding(model.record).complete) return failure
  return refuse('BLOB_MISSING', 'the files of the model are not on this node', {
    hint: `zoarium pull ${model.record}`,
  })
}

/** What of the model itself this program cannot run; the same for as long as it runs. */
export function whyUnsupported(model: ModelRow): Failure | null {
  if (model.unreadable !== null) {
    const { code, message } = model.unreadable
    return refuse(code, `the card cannot be read here: ${message}`)
  }
  const weights = onnxOf(model)
  if (weights === null) {
    return refuse('MODEL_UNSUPPORTED', 'the record carries no ONNX weights', {
      got: model.description.weights.map((entry) => entry.format).join(', '),
      limit: 'onnx',
    })
  }
  const operations = [...model.description.inputs, ...model.description.outputs].flatMap(
    (tensor) => tensor.operations,
  )
  for (const operation of operations) {
    if (operation.op === 'unsupported') {
      return refuse('MODEL_UNSUPPORTED', `the step ${operation.name} is not computed here`, {
        field: operation.name,
      })
    }
  }
  return null
}

/** The rule of trust, the withdrawal or the fork against running it, here or for this node elsewhere. */
export function whyForbidden(registry: Registry, model: ModelRow): Failure | null {
  const failure = whyDoubtful(registry, model)
  if (failure !== null) return failure
  if (registry.isUnclosed(model.record)) {
    return refuse('UNCLOSED', 'it came after the end of its key, and nobody has vouched for it', {
      field: model.publisher,
      hint: 'its publisher renews the key, or its steward or two institutions that are listed here attest it',
    })
  }
  const right = registry.mayRun(model)
  return right.ok ? null : right
}

/** The withdrawal or the fork that speaks against a model, whatever the rules of trust say. */
function whyDoubtful(registry: Registry, model: ModelRow): Failure | null {
  if (model.withdrawn === 'recall') {
    return refuse('RECALLED', 'the publisher took the model back')
  }
  if (model.withdrawn === 'erase') return refuse('ERASED', 'the model was erased')
  if (registry.isContested(model.record)) {
    return refuse(
      'CONTESTED',
      'its log or publisher has forked: two statements were signed at one place',
      {
        field: model.publisher,
        hint: 'use an earlier version, or ask the publisher to heal the fork',
      },
    )
  }
  return null
}

/** Whether the files of a model come when they are used, by a mirror rule. */
export const isOnDemand = (registry: Registry, model: ModelRow): boolean =>
  registry.mirrorDecision(model).fetch === 'demand' &&
  registry.mayMirror(model) &&
  whyDoubtful(registry, model) === null

const onnxOf = (model: ModelRow) => {
  const entry = model.description.weights.find((weights) => weights.format === 'onnx')
  if (entry === undefined) return null
  const main = model.files.find((file) => file.path === entry.source.source)
  if (main === undefined) return null
  const external = model.files.find((file) => file.path === entry.externalData?.source)
  return { main, files: external === undefined ? [main] : [main, external] }
}

/** What the engine gets. @throws ZoariumError as {@link whyNotRunnable} says */
export function runnableOf(registry: Registry, model: ModelRow): RunnableModel {
  const failure = whyNotRunnable(registry, model)
  if (failure !== null) throw ZoariumError.of(failure)
  return engineInput(registry, model)
}

/**
 * What the engine gets for a test that the operator asks for. No rule has to let the model run: its
 * result is what such a rule may rest on.
 * Fails with RECALLED, ERASED, CONTESTED, MODEL_UNSUPPORTED, BLOB_MISSING, and like the card.
 */
export function testableOf(registry: Registry, model: ModelRow): Verdict<RunnableModel> {
  const failure = whyDoubtful(registry, model) ?? whyUnable(registry, model)
  return failure ?? accept(engineInput(registry, model))
}

function engineInput(registry: Registry, model: ModelRow): RunnableModel {
  const weights = onnxOf(model)
  if (weights === null) throw new TypeError('a runnable model has ONNX weights')
  return {
    record: model.record,
    description: model.description,
    engineModel: {
      id: model.record,
      main: bareName(weights.main.path),
      files: weights.files.map((file) => ({
        name: bareName(file.path),
        size: file.size,
        copyTo: (path: string) => registry.blobs.copyTo(file.cid, path),
      })),
    },
  }
}

/** ONNX names external data relative to its own folder: both files lie side by side. */
export const bareName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
