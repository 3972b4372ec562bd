/**
 * What the program knows of a model: one normal form for every card format, read by card.ts.
 * The card's original bytes stay the truth; this is a view of them.
 *
 * Terms and defaults follow the BioImage.IO model description 0.5. Axis ids are normalised
 * (`b` -> `batch`, `c` -> `channel`, `t` -> `time`, `i` -> `index`).
 */

export const DTYPES = [
  'float32',
  'float64',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'uint64',
  'int64',
  'bool',
] as const
export type Dtype = (typeof DTYPES)[number]

/** Weight formats of the model description 0.5; only `onnx` runs in a node. */
export const WEIGHT_FORMATS = [
  'onnx',
  'torchscript',
  'pytorch_state_dict',
  'keras_hdf5',
  'keras_v3',
  'tensorflow_js',
  'tensorflow_saved_model_bundle',
] as const
export type WeightFormat = (typeof WEIGHT_FORMATS)[number]

/** What a file of a package is for. */
export const FILE_ROLES = [
  'card',
  'weights',
  'external-data',
  'architecture',
  'environment',
  'test-input',
  'test-output',
  'sample-input',
  'sample-output',
  'cover',
  'documentation',
  'attachment',
  'other',
] as const
export type FileRole = (typeof FILE_ROLES)[number]

/** A file that a card names. */
export interface FileReference {
  /** A path relative to the card, without a leading `./`, or a URL; otherwise as written. */
  readonly source: string
  /** 64 lower-case hex digits, where the card states one. */
  readonly sha256: string | null
  readonly role: FileRole
  /** The weights entry that it belongs to. */
  readonly weights: WeightFormat | null
  /** Where the card names it, e.g. `weights.onnx.source`. */
  readonly field: string
  /** 1-based line of that field. */
  readonly line: number
}

export type AxisSize =
  | { readonly kind: 'fixed'; readonly size: number }
  /** size = min + n * step, n = 0, 1, 2, ... */
  | { readonly kind: 'stepped'; readonly min: number; readonly step: number }
  /** size = int(reference size * reference scale / scale + offset) */
  | {
      readonly kind: 'reference'
      readonly tensor: string
      readonly axis: string
      readonly offset: number
    }
  /** known only after the run; `max` null: unbounded */
  | { readonly kind: 'dependent'; readonly min: number; readonly max: number | null }

export type AxisType = 'batch' | 'channel' | 'index' | 'time' | 'space'

export interface Axis {
  readonly type: AxisType
  readonly id: string
  /** A batch axis of free size is `{kind: 'stepped', min: 1, step: 1}`. */
  readonly size: AxisSize
  /** Size of one element in `unit`, relative to a referenced axis. Default 1. */
  readonly scale: number
  readonly unit: string | null
  /** Elements at each side of an output that the border spoils. Default 0. */
  readonly halo: number
  readonly channelNames: readonly string[]
}

/** A reference to another tensor's statistics, or null for the tensor's own. */
type ReferenceTensor = string | null
/** Axis ids that a statistic is taken over; null: all, the batch included. */
type ReducedAxes = readonly string[] | null

/**
 * Pre- and postprocessing, by the names of format 0.5. Where an `axis` is given, the lists have one
 * element for each index of that axis; otherwise one element.
 */
export type Operation =
  | { readonly op: 'ensure_dtype'; readonly dtype: Dtype }
  | {
      readonly op: 'binarize'
      readonly thresholds: readonly number[]
      readonly axis: string | null
    }
  | {
      readonly op: 'clip'
      readonly min: number | null
      readonly max: number | null
      readonly minPercentile: number | null
      readonly maxPercentile: number | null
      readonly axes: ReducedAxes
    }
  | {
      readonly op: 'scale_linear'
      readonly gain: readonly number[]
      readonly offset: readonly number[]
      readonly axis: string | null
    }
  | { readonly op: 'sigmoid' }
  | { readonly op: 'softmax'; readonly axis: string }
  | {
      readonly op: 'fixed_zero_mean_unit_variance'
      readonly mean: readonly number[]
      readonly std: readonly number[]
      readonly axis: string | null
    }
  | { readonly op: 'zero_mean_unit_variance'; readonly axes: ReducedAxes; readonly eps: number }
  | {
      readonly op: 'scale_range'
      readonly axes: ReducedAxes
      readonly minPercentile: number
      readonly maxPercentile: number
      readonly eps: number
      readonly referenceTensor: ReferenceTensor
    }
  | {
      readonly op: 'scale_mean_variance'
      readonly referenceTensor: string
      readonly axes: ReducedAxes
      readonly eps: number
    }
  /** An op that this version does not compute; the pipeline refuses it by name. */
  | { readonly op: 'unsupported'; readonly name: string }

export interface TensorDescription {
  readonly id: string
  readonly description: string
  readonly axes: readonly Axis[]
  readonly dtype: Dtype
  readonly optional: boolean
  readonly testTensor: FileReference | null
  readonly sampleTensor: FileReference | null
  /** Preprocessing of an input, postprocessing of an output, in order. */
  readonly operations: readonly Operation[]
}

export interface WeightsEntry {
  readonly format: WeightFormat
  readonly source: FileReference
  readonly externalData: FileReference | null
  readonly parent: WeightFormat | null
  readonly opsetVersion: number | null
}

/** When two results count as equal: mismatched if |a - e| > absolute + relative * |e|. */
export interface Tolerance {
  readonly relative: number
  readonly absolute: number
  readonly mismatchedPerMillion: number
  /** Weight formats and output ids that it is for; empty: all. */
  readonly weightFormats: readonly string[]
  readonly outputIds: readonly string[]
}

export interface Author {
  readonly name: string
  readonly affiliation: string | null
  readonly orcid: string | null
}

export interface Citation {
  readonly text: string
  readonly doi: string | null
  readonly url: string | null
}

export interface ModelDescription {
  readonly formatVersion: string
  readonly name: string
  readonly description: string
  /** The id that a zoo gave it, e.g. `affable-shark`. */
  readonly id: string | null
  readonly version: string | null
  readonly license: string | null
  readonly tags: readonly string[]
  readonly authors: readonly Author[]
  readonly cite: readonly Citation[]
  readonly documentation: FileReference | null
  readonly covers: readonly FileReference[]
  readonly inputs: readonly TensorDescription[]
  readonly outputs: readonly TensorDescription[]
  readonly weights: readonly WeightsEntry[]
  /** In order: the first that is for a weight format and an output counts. The last is for all. */
  readonly tolerances: readonly Tolerance[]
  /** Every file that the card names, each once by `field`. */
  readonly files: readonly FileReference[]
}
