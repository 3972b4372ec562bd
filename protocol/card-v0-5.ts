/**
 * Cards of format 0.5: the BioImage.IO model description, read into the normal form.
 * Source: https://bioimage-io.github.io/spec-bioimage-io/ (model 0.5), with the completions that
 * its reference library makes on loading.
 */
import { ABOUT_FIELDS, readAbout } from './card-about.ts'
import { checkSizes, type PlacedAxis, type PlacedTensor, readAxes } from './card-axes.ts'
import type { Field } from './card-field.ts'
import { CardFiles } from './card-files.ts'
import { readOperations } from './card-operations.ts'
import { readWeights } from './card-weights.ts'
import {
  DTYPES,
  type Dtype,
  type ModelDescription,
  type TensorDescription,
  type Tolerance,
  WEIGHT_FORMATS,
  type WeightFormat,
} from './model-description.ts'

/** The newest patch whose fields this file knows. */
export const NEWEST_PATCH_OF_0_5 = 11

const TENSOR_KEYS = ['id', 'description', 'axes', 'test_tensor', 'sample_tensor', 'data']
const INPUT_KEYS = [...TENSOR_KEYS, 'optional', 'preprocessing', 'pad', 'output_of']
const OUTPUT_KEYS = [...TENSOR_KEYS, 'postprocessing']
const MAX_TENSORS = 64
const TENSOR_ID = {
  min: 1,
  max: 32,
  pattern: /^[a-z_][a-z0-9_]*$/,
  says: 'not a lower-case identifier',
}

const PYTHON_KEYWORDS = new Set(
  (
    'and as assert async await break class continue def del elif else except finally for from ' +
    'global if import in is lambda nonlocal not or pass raise return try while with yield'
  ).split(' '),
)

export const DEFAULT_TOLERANCE: Tolerance = {
  relative: 1e-3,
  absolute: 1e-3,
  mismatchedPerMillion: 100,
  weightFormats: [],
  outputIds: [],
}

export function readCard05(root: Field, formatVersion: string): ModelDescription {
  const files = new CardFiles()
  root.closed([...ABOUT_FIELDS, 'version_comment'])
  const about = readAbout(root, files)
  const name = root.at('name')
  name.text({
    min: 5,
    pattern: /^[\p{L}\p{N}_+\-() ]*$/u,
    says: 'may have letters, digits, space and _ + - ( )',
  })
  for (const attachment of root.at('attachments').items()) files.read(attachment, 'attachment')

  const inputs = tensorFields(root.at('inputs'))
  const outputs = tensorFields(root.at('outputs'))
  const ids = readIds(inputs, outputs)
  const placed: PlacedTensor[] = []
  const read = (field: Field, side: 'input' | 'output'): TensorDescription => {
    // SAFE: every tensor field has an id by now.
    const id = ids.get(field) as string
    const axes = readAxes(field.at('axes'), side)
    placed.push({ id, axes })
    return readTensor(field, id, axes, side, new Set(ids.values()), files)
  }
  const description = {
    ...about,
    formatVersion,
    inputs: inputs.map((field) => read(field, 'input')),
    outputs: outputs.map((field) => read(field, 'output')),
    weights: readWeights(root.at('weights'), files, [], (entry, format) =>
      readExtras(entry, format, files),
    ),
    tolerances: readTolerances(root.at('config').at('bioimageio')),
    files: files.list,
  }
  checkSizes(placed)
  return description
}

function tensorFields(list: Field): readonly Field[] {
  const fields = list.required().items()
  if (list.isList && fields.length === 0) list.error('needs at least one tensor')
  if (fields.length > MAX_TENSORS) {
    list.error('has too many tensors', { limit: MAX_TENSORS, got: fields.length })
  }
  return fields.slice(0, MAX_TENSORS)
}

function readIds(inputs: readonly Field[], outputs: readonly Field[]): Map<Field, string> {
  const ids = new Map<Field, string>()
  for (const [side, fields] of [
    ['input', inputs],
    ['output', outputs],
  ] as const) {
    for (const field of fields) {
      const given = field.at('id')
      const id = given.text(TENSOR_ID) ?? side
      if (PYTHON_KEYWORDS.has(id)) given.error('is a reserved word of Python', { got: id })
      const [twin] = [...ids].find(([, other]) => other === id) ?? []
      const message = `tensor ids are unique over inputs and outputs; ${twin?.path} has it too`
      if (twin !== undefined && fields.includes(twin)) given.error(message, { got: id })
      // Published models that hand an input through do this, and the reference library lets them.
      else if (twin !== undefined) given.warn(`${message}; references mean the input`, { got: id })
      ids.set(field, id)
    }
  }
  return ids
}

function readTensor(
  field: Field,
  id: string,
  placed: readonly PlacedAxis[],
  side: 'input' | 'output',
  tensorIds: ReadonlySet<string>,
  files: CardFiles,
): TensorDescription {
  field.closed(side === 'input' ? INPUT_KEYS : OUTPUT_KEYS)
  const axes = placed.map(({ axis }) => axis)
  const dtype = readDtype(field.at('data'))
  const testTensor = files.read(field.at('test_tensor'), `test-${side}`)
  if (testTensor === null) field.warn('has no test tensor, so no node can check the model')
  const sampleTensor = files.read(field.at('sample_tensor'), `sample-${side}`)
  const list = field.at(side === 'input' ? 'preprocessing' : 'postprocessing')
  const operations = readOperations(list, dtype, { axes, tensorIds, side, files })
  return {
    id,
    description: field.at('description').text({ max: 1024 }) ?? '',
    axes,
    dtype,
    optional: field.at('optional').flag(false),
    testTensor,
    sampleTensor,
    operations,
  }
}

/** `data` is one description, or one for each channel, all of one type. */
function readDtype(data: Field): Dtype {
  const parts = data.isList ? data.items() : [data]
  if (data.isList && parts.length === 0) data.error('needs at least one description')
  const types = parts.map((part) => {
    part.closed(['type', 'range', 'unit', 'scale', 'offset', 'values'])
    return part.at('type').oneOf(DTYPES) ?? (part.at('values').isGiven ? 'uint8' : 'float32')
  })
  const [first = 'float32', ...rest] = types
  if (rest.some((type) => type !== first)) data.error('all channels must have one type')
  return first
}

function readExtras(entry: Field, format: WeightFormat, files: CardFiles): void {
  if (format === 'onnx') entry.at('opset_version').required()
  files.read(entry.at('dependencies'), 'environment', format)
  const architecture = entry.at('architecture')
  if (format !== 'pytorch_state_dict') return
  if (!architecture.required().closed(['callable', 'source', 'sha256', 'kwargs', 'import_from']))
    return
  architecture.at('callable').required().text({ min: 1 })
  if (architecture.at('source').isGiven) files.readIn(architecture, 'architecture', format)
  else if (!architecture.at('import_from').isGiven) {
    architecture.error('needs a source file or import_from')
  }
}

/**
 * The stated tolerances in order, then those of an older field, then the default for all: the
 * first whose weight formats and outputs match counts.
 */
function readTolerances(config: Field): readonly Tolerance[] {
  const stated = config
    .at('reproducibility_tolerance')
    .items()
    .map((entry) => ({
      ...readTolerance(entry),
      mismatchedPerMillion:
        entry.at('mismatched_elements_per_million').integer({ min: 0, max: 5000 }) ??
        DEFAULT_TOLERANCE.mismatchedPerMillion,
      weightFormats: entry
        .at('weights_formats')
        .items()
        .map((item) => item.oneOf(WEIGHT_FORMATS))
        .filter((f) => f !== null),
      outputIds: entry
        .at('output_ids')
        .items()
        .map((item) => item.text())
        .filter((id) => id !== null),
    }))
  const older = config.at('test_kwargs')
  const legacy = older.keys().map((format) => ({
    ...DEFAULT_TOLERANCE,
    ...readTolerance(older.at(format)),
    weightFormats: [format],
  }))
  return [...stated, ...legacy, DEFAULT_TOLERANCE]
}

const readTolerance = (entry: Field): Pick<Tolerance, 'relative' | 'absolute'> => ({
  relative:
    entry.at('relative_tolerance').number({ min: 0, max: 0.01 }) ?? DEFAULT_TOLERANCE.relative,
  absolute: entry.at('absolute_tolerance').number({ min: 0 }) ?? DEFAULT_TOLERANCE.absolute,
})
