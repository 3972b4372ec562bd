/**
 * Looks into an ONNX file before a runtime does: what goes in and out, what it needs, and whether
 * it reaches outside its package. It walks the file once, copies no tensor, and takes milliseconds
 * for tens of megabytes (onnx-outline.ts).
 *
 * What only running can tell (loops that do not end, memory that is asked for at run time) is left
 * to the process that runs it.
 */
import { accept, type Failure, refuse, type Verdict } from './errors.ts'
import { MAX_NODES, OnnxOutline, type OnnxSummary } from './onnx-outline.ts'
import { ProtobufError } from './protobuf.ts'
import { CONTENT_HEAD_BYTES, describeContent, guessContent } from './weights-content.ts'

/** What ONNX Runtime 1.30 loads; it refuses the next of each. */
const MAX_OPSETS: Readonly<Record<string, number>> = {
  'ai.onnx': 26,
  'ai.onnx.ml': 5,
  'com.microsoft': 1,
}
const MAX_IR_VERSION = 13
/** Largest protobuf message there can be; larger models keep their weights in external data. */
export const MAX_ONNX_BYTES = 2 ** 31 - 1
/** Elements of one constant that a graph makes from a shape: 16 GiB of float32. */
const MAX_CONSTANT_ELEMENTS = 2 ** 32

/** Operators that read a file of their own; none is in a card's list of files. */
const FILE_OPS = new Set(['com.microsoft::EPContext'])

/** Reads the outline of a model. Fails with MODEL_PARSE, or LIMIT where it is too large to walk. */
export function scanOnnx(bytes: Uint8Array): Verdict<OnnxSummary> {
  if (bytes.length > MAX_ONNX_BYTES) {
    return refuse('LIMIT', 'an ONNX file is too large', {
      limit: MAX_ONNX_BYTES,
      got: bytes.length,
    })
  }
  try {
    const outline = new OnnxOutline(bytes)
    return outline.hasGraph ? accept(outline.summary()) : unreadable(bytes, 'it has no graph')
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error
    if (error.isLimit) {
      return refuse('LIMIT', `the model is beyond a bound: ${error.message}`, {
        got: `at byte ${error.offset}`,
      })
    }
    return unreadable(bytes, `${error.message} (at byte ${error.offset})`)
  }
}

/** Says why, and what the file looks like where that is no ONNX model. */
function unreadable(bytes: Uint8Array, reason: string): Failure {
  const content = guessContent(bytes.subarray(0, CONTENT_HEAD_BYTES))
  if (content === 'onnx' || content === 'unknown' || content === 'text') {
    return refuse('MODEL_PARSE', `not a whole ONNX model: ${reason}`, {
      hint: 'the file may be cut short; compare its size with the original',
    })
  }
  const { message, hint } = describeContent(content)
  return refuse('MODEL_PARSE', `not an ONNX model: ${message}`, hint === undefined ? {} : { hint })
}

/**
 * Whether this node would load it. Fails with EXTERNAL_DATA, MODEL_UNSUPPORTED, MODEL_MEMORY or
 * LIMIT.
 * @param allowedExternal bare names of files that travel with the model, in its folder
 */
export function checkOnnx(summary: OnnxSummary, allowedExternal: readonly string[]): Verdict<true> {
  const outside = summary.external.find((location) => !allowedExternal.includes(location))
  if (outside !== undefined) {
    return refuse('EXTERNAL_DATA', 'the weights point at data outside the package', {
      got: outside.slice(0, 200),
      limit: allowedExternal.join(', ') || 'no external data',
      hint: 'name the file as external_data in the card, in the same folder as the weights',
    })
  }
  if (summary.irVersion > MAX_IR_VERSION) {
    return unsupported('the IR version is too new', MAX_IR_VERSION, summary.irVersion)
  }
  for (const [domain, version] of Object.entries(summary.opsets)) {
    const limit = Object.hasOwn(MAX_OPSETS, domain) ? MAX_OPSETS[domain] : undefined
    if (limit !== undefined && version > limit) {
      return unsupported(`the operator set of ${domain} is too new`, limit, version)
    }
  }
  const foreign = summary.domains.find((domain) => !Object.hasOwn(MAX_OPSETS, domain))
  if (foreign !== undefined) {
    const known = Object.keys(MAX_OPSETS).join(', ')
    return unsupported('the model needs operators that no runtime brings', known, foreign)
  }
  const reader = Object.keys(summary.ops).find((op) => FILE_OPS.has(op))
  if (reader !== undefined) return unsupported('an operator reads files of its own', 'none', reader)
  if (summary.expandedNodes > MAX_NODES) {
    return refuse('LIMIT', 'the model has too many nodes', {
      limit: MAX_NODES,
      got: Math.min(summary.expandedNodes, Number.MAX_SAFE_INTEGER),
    })
  }
  if (summary.largestConstant > MAX_CONSTANT_ELEMENTS) {
    return refuse('MODEL_MEMORY', 'the model makes a constant that no node can hold', {
      limit: `${MAX_CONSTANT_ELEMENTS} elements`,
      got: summary.largestConstant,
    })
  }
  return accept(true)
}

const unsupported = (message: string, limit: number | string, got: number | string): Failure =>
  refuse('MODEL_UNSUPPORTED', message, {
    limit,
    got,
    hint: 'export the network again, with standard operators and these versions at most',
  })
