/**
 * Cards of format 0.4, read into the normal form of 0.5. It is a view for running and searching;
 * unlike a conversion of the file it loses neither hashes nor halos.
 * Source: https://bioimage-io.github.io/spec-bioimage-io/ (model 0.4), with the meanings that the
 * reference library gives the fields when it converts them.
 */
import { nextSize, scaledSize } from './axis-size.ts'
import { ABOUT_FIELDS, readAbout } from './card-about.ts'
import type { Field } from './card-field.ts'
import { CardFiles, readSha256 } from './card-files.ts'
import { readOldOperations } from './card-v0-4-operations.ts'
import { readWeights } from './card-weights.ts'
import {
  type Axis,
  type AxisSize,
  type AxisType,
  DTYPES,
  type FileReference,
  type FileRole,
  type ModelDescription,
  type TensorDescription,
  type Tolerance,
  type WeightFormat,
} from './model-description.ts'

/** The newest patch; the format is closed. */
export const NEWEST_PATCH_OF_0_4 = 10

const OWN_FIELDS = ['download_url', 'rdf_source', 'dependencies', 'test_inputs', 'test_outputs']
const SAMPLE_FIELDS = ['sample_inputs', 'sample_outputs']
const TENSOR_KEYS = ['name', 'description', 'axes', 'data_type', 'data_range', 'shape']
const WEIGHT_KEYS = ['attachments', 'dependencies', 'architecture_sha256', 'kwargs']
const MAX_TENSORS = 64
const MAX_SIZE = 2 ** 31
const MAX_ORIGIN_CHARS = 128

const LETTERS: Readonly<Record<string, readonly [AxisType, string]>> = {
  b: ['batch', 'batch'],
  i: ['index', 'index'],
  t: ['time', 'time'],
  c: ['channel', 'channel'],
  z: ['space', 'z'],
  y: ['space', 'y'],
  x: ['space', 'x'],
}

/** The old test allowed no mismatch at all. */
const OLD_TOLERANCE: Tolerance = {
  relative: 1e-3,
  absolute: 1e-3,
  mismatchedPerMillion: 0,
  weightFormats: [],
  outputIds: [],
}

export function readCard04(root: Field, formatVersion: string): ModelDescription {
  const files = new CardFiles()
  root.closed([...ABOUT_FIELDS, ...OWN_FIELDS, ...SAMPLE_FIELDS])
  const about = readAbout(root, files)
  readAttachments(root.at('attachments'), files, null)
  const weights = readWeights(root.at('weights'), files, WEIGHT_KEYS, (entry, format) =>
    readExtras(entry, format, files),
  )
  const needsPython = weights.find((entry) => entry.format !== 'onnx')?.format ?? null
  readEnvironment(root.at('dependencies'), files, needsPython)

  const inputs = tensorFields(root.at('inputs'))
  const outputs = tensorFields(root.at('outputs'))
  const ids = readNames([...inputs, ...outputs])
  const read = (
    side: 'input' | 'output',
    fields: readonly Field[],
    known: readonly TensorDescription[],
  ) => {
    const tests = readPerTensor(
      root.at(`test_${side}s`).required(),
      fields.length,
      files,
      `test-${side}`,
    )
    const samples = readPerTensor(root.at(`sample_${side}s`), null, files, `sample-${side}`)
    return fields.map((field, i) => ({
      ...readTensor(field, side, ids, known),
      testTensor: tests[i] ?? null,
      sampleTensor: samples[i] ?? null,
    }))
  }
  const inputTensors = read('input', inputs, [])
  return {
    ...about,
    formatVersion,
    id:
      about.id ?? root.at('config').at('bioimageio').at('nickname').text({ max: MAX_ORIGIN_CHARS }),
    inputs: inputTensors,
    outputs: read('output', outputs, inputTensors),
    weights,
    tolerances: [OLD_TOLERANCE],
    files: files.list,
  }
}

function tensorFields(list: Field): readonly Field[] {
  const fields = list.required().items()
  if (list.isList && fields.length === 0) list.error('needs at least one tensor')
  if (fields.length > MAX_TENSORS) {
    list.error('has too many tensors', { limit: MAX_TENSORS, got: fields.length })
  }
  return fields.slice(0, MAX_TENSORS)
}

function readNames(fields: readonly Field[]): ReadonlySet<string> {
  const seen = new Map<string, string>()
  for (const field of fields) {
    const name = field.at('name').required()
    const id = name.text({ min: 1, max: MAX_ORIGIN_CHARS })
    if (id === null) continue
    const twin = seen.get(id)
    if (twin === undefined) seen.set(id, field.path)
    else {
      name.error(`tensor names are unique over inputs and outputs; ${twin} has it too`, { got: id })
    }
  }
  return new Set(seen.keys())
}

/** @param count as many as there must be; null: any number */
function readPerTensor(
  list: Field,
  count: number | null,
  files: CardFiles,
  role: FileRole,
): readonly (FileReference | null)[] {
  const items = list.items()
  if (list.isList && count !== null && items.length !== count) {
    list.error('needs one file for each tensor', { limit: count, got: items.length })
  }
  return items.map((item) => files.read(item, role))
}

type Untested = Omit<TensorDescription, 'testTensor' | 'sampleTensor'>

function readTensor(
  field: Field,
  side: 'input' | 'output',
  tensorIds: ReadonlySet<string>,
  known: readonly Untested[],
): Untested {
  field.closed([...TENSOR_KEYS, side === 'input' ? 'preprocessing' : 'postprocessing', 'halo'])
  const letters = readLetters(field.at('axes').required())
  const halos = readNumbers(field.at('halo'), letters.length)
  const shape = field.at('shape').required()
  const placed = shape.at('reference_tensor').isGiven
    ? readImplicit(shape, letters, known)
    : readShape(shape, letters).map((size) => ({ size, scale: 1 }))
  const axes = letters.map((letter, i): Axis => {
    // SAFE: the letters were checked.
    const [type, id] = LETTERS[letter] as readonly [AxisType, string]
    const { size, scale } = placed[i] ?? { size: { kind: 'fixed', size: 1 }, scale: 1 }
    return { type, id, size, scale, unit: null, halo: halos?.[i] ?? 0, channelNames: [] }
  })
  for (const axis of axes) {
    if (
      axis.halo < 0 ||
      (axis.size.kind === 'fixed' && axis.halo > 0 && axis.size.size <= 2 * axis.halo)
    ) {
      field
        .at('halo')
        .error('the halo leaves nothing of an axis', { got: `${axis.id}: ${axis.halo}` })
    }
  }
  const dtype = field.at('data_type').required().oneOf(DTYPES) ?? 'float32'
  const list = field.at(side === 'input' ? 'preprocessing' : 'postprocessing')
  return {
    id: field.at('name').text() ?? '',
    description: field.at('description').text({ max: 1024 }) ?? '',
    axes,
    dtype,
    optional: false,
    operations: readOldOperations(list, dtype, { axes, tensorIds, side }),
  }
}

function readLetters(field: Field): readonly string[] {
  const letters = [
    ...(field.text({ min: 1, pattern: /^[bitczyx]+$/, says: 'axes are letters of bitczyx' }) ?? ''),
  ]
  if (new Set(letters).size < letters.length)
    field.error('an axis is given twice', { got: letters.join('') })
  return letters.filter((letter) => Object.hasOwn(LETTERS, letter))
}

/** A list with one number for each axis; null where it is not given or wrong. */
function readNumbers(list: Field, count: number): readonly number[] | null {
  if (!list.isGiven) return null
  const numbers = list.items().map((item) => item.number({ min: -MAX_SIZE, max: MAX_SIZE }) ?? 0)
  if (numbers.length === count) return numbers
  list.error('needs one number for each axis', { limit: count, got: numbers.length })
  return null
}

/** Fixed sizes, or `{min, step}` where a step of 0 fixes the size. */
function readShape(shape: Field, letters: readonly string[]): readonly AxisSize[] {
  if (!shape.isMap) {
    const sizes = readSizes(shape, letters.length)
    return sizes.map((size) => ({ kind: 'fixed', size }))
  }
  shape.closed(['min', 'step'])
  const least = readSizes(shape.at('min').required(), letters.length)
  const steps = readNumbers(shape.at('step').required(), letters.length) ?? []
  return least.map((min, i) => {
    const step = steps[i] ?? 0
    if (step < 0 || !Number.isInteger(step)) {
      shape.at('step').error('a step is a whole number from 0', { got: step })
    }
    return step > 0 ? { kind: 'stepped', min, step } : { kind: 'fixed', size: min }
  })
}

function readSizes(list: Field, count: number): readonly number[] {
  const sizes = readNumbers(list, count) ?? []
  if (sizes.some((size) => size < 1 || !Number.isInteger(size))) {
    list.error('a size is a whole number from 1', { got: sizes.join(', ') })
  }
  return sizes
}

interface ImplicitSize {
  readonly size: AxisSize
  readonly scale: number
}

/** `size of the input * scale + 2 * offset`; a scale of 0 or null makes a new axis. */
function readImplicit(
  shape: Field,
  letters: readonly string[],
  inputs: readonly Untested[],
): readonly ImplicitSize[] {
  shape.closed(['reference_tensor', 'scale', 'offset'])
  const name = shape.at('reference_tensor').text() ?? ''
  const target =
    inputs.find(({ id }) => id === name) ?? inputs.find(({ id }) => name.startsWith(`${id}.`))
  if (target === undefined) {
    shape.at('reference_tensor').error('names no input', { got: name })
    return []
  }
  const scales = readNumbers(shape.at('scale').required(), letters.length) ?? []
  const offsets = readNumbers(shape.at('offset').required(), letters.length) ?? []
  return letters.map((letter, i) => {
    const scale = scales[i] ?? 0
    const offset = 2 * (offsets[i] ?? 0)
    if (!Number.isInteger(offset)) {
      shape.at('offset').error('an offset is a multiple of 0.5', { got: offset / 2 })
    }
    if (scale === 0) return fixed(shape, offset)
    const axis = target.axes.find(({ id }) => id === LETTERS[letter]?.[1])
    if (scale < 0 || axis === undefined) {
      const reason = scale < 0 ? 'is negative' : 'is of an axis that the input does not have'
      shape.at('scale').error(reason, { got: `${letter}: ${scale}` })
      return fixed(shape, 1)
    }
    if (axis.type === 'batch') {
      if (scale !== 1 || offset !== 0) shape.error('the batch cannot change its size')
      return { size: axis.size, scale: 1 }
    }
    // Channels are counted, not measured: they have no scale to express theirs in.
    if (axis.size.kind === 'fixed' && (axis.type === 'channel' || axis.type === 'index')) {
      return fixed(shape, axis.size.size * scale + offset)
    }
    const least = nextSize(axis.size, 1) ?? 1
    const result = scaledSize({ size: least, scale: 1 }, 1 / scale, offset)
    if (result < 1) shape.error('gives a size below 1', { got: `${letter}: ${result}` })
    const size = { kind: 'reference', tensor: target.id, axis: axis.id, offset } as const
    return { size, scale: 1 / scale }
  })
}

function fixed(shape: Field, size: number): ImplicitSize {
  if (size < 1 || !Number.isInteger(size)) shape.error('gives a size that cannot be', { got: size })
  return { size: { kind: 'fixed', size }, scale: 1 }
}

function readAttachments(field: Field, files: CardFiles, weights: WeightFormat | null): void {
  // Beside `files` anything may stand here.
  for (const item of field.at('files').items()) files.add(item, null, 'attachment', weights)
}

function readExtras(entry: Field, format: WeightFormat, files: CardFiles): void {
  readAttachments(entry.at('attachments'), files, format)
  readEnvironment(entry.at('dependencies'), files, format)
  // `file.py:Class`, or `module.Class` of an installed library.
  const architecture = entry.at('architecture')
  const text = architecture.text()
  const end = text?.lastIndexOf(':') ?? -1
  if (text === null || end < 1) return
  const sha256 = readSha256(entry.at('architecture_sha256'))
  files.addNamed(architecture, text.slice(0, end), sha256, 'architecture', format)
}

/** `conda:environment.yaml` */
function readEnvironment(field: Field, files: CardFiles, weights: WeightFormat | null): void {
  const text = field.text({
    pattern: /^[a-z]+:.+$/,
    says: 'must be a manager and a file, e.g. conda:environment.yaml',
  })
  const start = text?.indexOf(':') ?? -1
  if (text !== null && start > 0) {
    files.addNamed(field, text.slice(start + 1), null, 'environment', weights)
  }
}
