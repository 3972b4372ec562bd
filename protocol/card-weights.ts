/** The weights of a card, format by format. */
import type { Field } from './card-field.ts'
import type { CardFiles } from './card-files.ts'
import { WEIGHT_FORMATS, type WeightFormat, type WeightsEntry } from './model-description.ts'

/** The oldest operator set that runtimes still load. */
const MIN_OPSET = 7

const COMMON = ['source', 'sha256', 'authors', 'parent', 'comment']
const KEYS: Record<WeightFormat, readonly string[]> = {
  onnx: ['opset_version', 'external_data'],
  torchscript: ['pytorch_version'],
  pytorch_state_dict: ['architecture', 'pytorch_version', 'dependencies', 'strict'],
  keras_hdf5: ['tensorflow_version'],
  keras_v3: ['keras_version', 'backend'],
  tensorflow_js: ['tensorflow_version'],
  tensorflow_saved_model_bundle: ['tensorflow_version', 'dependencies'],
}

/** Reads what differs between card formats: architecture and environment files. */
export type ReadExtras = (entry: Field, format: WeightFormat) => void

export function readWeights(
  weights: Field,
  files: CardFiles,
  extraKeys: readonly string[],
  readExtras: ReadExtras,
): readonly WeightsEntry[] {
  weights.required().closed(WEIGHT_FORMATS)
  const entries: WeightsEntry[] = []
  for (const format of WEIGHT_FORMATS) {
    const entry = weights.at(format)
    // Null entries are common: exporters write every format they know.
    if (!entry.isGiven) continue
    if (!entry.closed([...COMMON, ...KEYS[format], ...extraKeys])) continue
    const source = files.readIn(entry, 'weights', format)
    const externalData = files.read(entry.at('external_data'), 'external-data', format)
    const parent = entry.at('parent').oneOf(WEIGHT_FORMATS)
    if (parent !== null && (parent === format || !weights.at(parent).isGiven)) {
      entry.at('parent').warn('the parent of these weights is not in the card', { got: parent })
    }
    const opset = format === 'onnx' ? entry.at('opset_version').integer({ min: MIN_OPSET }) : null
    readExtras(entry, format)
    if (source !== null) entries.push({ format, source, externalData, parent, opsetVersion: opset })
  }
  if (weights.isMap && entries.length === 0) weights.error('no weights are given')
  return entries
}
