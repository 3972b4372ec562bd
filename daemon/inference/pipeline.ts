/**
 * A card's pipeline around the engine: tensors of an image's own elements -> preprocessing ->
 * padding -> feeds, and the engine's outputs -> check -> cropping -> postprocessing. Pure.
 *
 * The whole image is preprocessed before it is padded, so that statistics are of the image alone.
 */
import { accept, refuse, type Verdict } from '../../protocol/errors.ts'
import type { ModelDescription, TensorDescription } from '../../protocol/model-description.ts'
import { checkDtype } from './element-types.ts'
import type { EngineTensorInfo } from './engine.ts'
import { type Fit, fitInputs, fitOutput } from './fit.ts'
import { crop, padByReflection } from './layout.ts'
import { applyOperations, type RawTensor } from './operations.ts'
import { convert, type Tensor } from './tensor.ts'

export interface Prepared {
  /** In the card's order of inputs, padded. */
  readonly feeds: readonly Tensor[]
  /** As they came, for statistics. */
  readonly raw: ReadonlyMap<string, Tensor>
  readonly fit: Fit
}

/** Refuses steps that this version does not compute, before anything runs. */
export function checkOperations({ inputs, outputs }: ModelDescription): Verdict<true> {
  for (const tensor of [...inputs, ...outputs]) {
    for (const operation of tensor.operations) {
      if (operation.op === 'unsupported') {
        return refuse('MODEL_UNSUPPORTED', `the step ${operation.name} is not computed here`, {
          field: operation.name,
        })
      }
    }
  }
  return accept(true)
}

/**
 * Plans the sizes of a run and checks the inputs, without touching an element.
 * @param tensors by input id, axes in the card's order
 * @returns INPUT, TILING_NEEDED
 */
export function planRun(
  description: ModelDescription,
  tensors: ReadonlyMap<string, Tensor>,
): Verdict<Fit> {
  for (const input of description.inputs) {
    const tensor = tensors.get(input.id)
    if (tensor === undefined) {
      return refuse('INPUT', `the model needs an input ${input.id}`, {
        field: input.id,
        limit: description.inputs.map(({ id }) => id).join(', '),
      })
    }
    const checked = checkDtype(tensor, input.dtype, input.id)
    if (!checked.ok) return checked
  }
  return fitInputs(description.inputs, tensors)
}

/** Preprocesses and pads. */
export function prepare(
  description: ModelDescription,
  raw: ReadonlyMap<string, Tensor>,
  fit: Fit,
): Prepared {
  const feeds = description.inputs.map((input) => {
    const tensor = rawOf(raw, input.id)
    const own: RawTensor = (reference) => (reference === null ? tensor : rawOf(raw, reference))
    const ready = applyOperations(tensor, input.operations, own)
    return padByReflection(ready, fit.padded.get(input.id) ?? ready.shape)
  })
  return { feeds, raw, fit }
}

function rawOf(raw: ReadonlyMap<string, Tensor>, id: string): Tensor {
  const tensor = raw.get(id)
  if (tensor === undefined) throw new TypeError(`no tensor ${id}`)
  return tensor
}

/**
 * The feeds as the graph takes them, by position. Element types follow the graph where only
 * precision or width changes; the card's own casts come first.
 * @returns MODEL_UNSUPPORTED where card and weights do not go together, INPUT for a size that only
 * the weights rule out
 */
export function feedsFor(
  feeds: readonly Tensor[],
  graph: readonly EngineTensorInfo[],
): Verdict<readonly Tensor[]> {
  if (feeds.length !== graph.length) {
    return refuse('MODEL_UNSUPPORTED', 'card and weights have different numbers of inputs', {
      limit: graph.length,
      got: feeds.length,
    })
  }
  const ready: Tensor[] = []
  for (const [i, feed] of feeds.entries()) {
    const info = graph[i]
    if (info === undefined) break
    if (info.shape.length > 0 && info.shape.length !== feed.shape.length) {
      return refuse('MODEL_UNSUPPORTED', 'card and weights have inputs of different rank', {
        field: info.name,
        limit: info.shape.length,
        got: feed.shape.length,
      })
    }
    const d = info.shape.findIndex((size, k) => size !== -1 && size !== feed.shape[k])
    if (d >= 0) {
      const axis = feed.axes[d] ?? String(d)
      return refuse('INPUT', `the weights take ${info.shape[d]} along ${axis} only`, {
        field: axis,
        limit: info.shape[d] ?? 0,
        got: feed.shape[d] ?? 0,
      })
    }
    const isFloat = info.dtype === 'float32' || info.dtype === 'float64'
    if (info.dtype !== feed.dtype && !isFloat) {
      return refuse(
        'MODEL_UNSUPPORTED',
        'the preprocessing yields other elements than the weights take',
        {
          field: info.name,
          limit: info.dtype,
          got: feed.dtype,
        },
      )
    }
    ready.push(info.dtype === feed.dtype ? feed : convert(feed, info.dtype))
  }
  return accept(ready)
}

export interface Finished {
  /** In the card's order of outputs, with its axes. */
  readonly outputs: readonly Tensor[]
  readonly notes: readonly string[]
}

/** Checks, crops and postprocesses. @returns OUTPUT_SHAPE, INPUT */
export function finish(
  description: ModelDescription,
  { raw, fit }: Prepared,
  results: readonly Tensor[],
): Verdict<Finished> {
  if (results.length < description.outputs.length) {
    return refuse('OUTPUT_SHAPE', 'the model returned fewer outputs than the card names', {
      limit: description.outputs.length,
      got: results.length,
    })
  }
  const cropped = new Map<string, Tensor>()
  for (const [i, output] of description.outputs.entries()) {
    const result = results[i]
    if (result === undefined) continue
    const kept = fitOutput(output, result.shape, description.inputs, fit)
    if (!kept.ok) return kept
    const axes = output.axes.map(({ id }) => id)
    cropped.set(output.id, crop({ ...result, axes }, kept.value))
  }
  const all = new Map([...raw, ...cropped])
  const outputs = description.outputs.map((output) => postprocess(output, all))
  const notes = description.outputs.flatMap((output, i) => {
    const tensor = outputs[i]
    return tensor !== undefined && !hasOnlyFinite(tensor)
      ? [`${output.id}: some values are not finite (NaN or infinity)`]
      : []
  })
  return accept({ outputs, notes: [...fit.notes, ...notes] })
}

function postprocess(output: TensorDescription, all: ReadonlyMap<string, Tensor>): Tensor {
  const tensor = rawOf(all, output.id)
  // Statistics of an output are of what the network returned, before any step.
  const of: RawTensor = (reference) => (reference === null ? tensor : rawOf(all, reference))
  return applyOperations(tensor, output.operations, of)
}

function hasOnlyFinite({ data }: Tensor): boolean {
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return true
  // x * 0 is 0 for every finite x and NaN for the others.
  let sum = 0
  for (let i = 0; i < data.length; i++) sum += (data[i] as number) * 0
  return sum === 0
}
