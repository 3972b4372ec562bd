/**
 * The outline of an ONNX file: one walk over its protobuf messages that opens those where inputs,
 * operators, functions and tensors stand, and passes over their data.
 * Source: onnx.proto of ONNX 1.21, https://github.com/onnx/onnx; numbers are its field numbers.
 */
import type { Dtype } from './model-description.ts'
import { ProtobufError, ProtobufWalker } from './protobuf.ts'

/** Largest published networks have 10,000 nodes. */
export const MAX_NODES = 50_000
const MAX_SUBGRAPH_DEPTH = 16
/** Exporters write at most some hundreds of functions. */
const MAX_FUNCTIONS = 1000
/** 10 million fields take about a tenth of a second. */
const MAX_FIELDS = 10_000_000
const MAX_DIMS = 64
const MAX_VALUES = 1000
const MAX_EXTERNAL = 1000
/** Constants of at most so many bytes are kept as possible shapes. */
const MAX_SHAPE_BYTES = MAX_DIMS * 8

export interface OnnxValue {
  readonly name: string
  /** Null: no dense tensor of a type that cards know. */
  readonly dtype: Dtype | null
  /** Number: fixed. Text: a named free size. Null: unnamed. The whole is null without a rank. */
  readonly shape: readonly (number | string | null)[] | null
}

export interface OnnxSummary {
  readonly irVersion: number
  /** Domain -> version; the standard domain is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>
  /** Graph inputs in order, without those that are initialisers. */
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
  /** Locations of external data as written; empty text where a tensor names none. */
  readonly external: readonly string[]
  /** Nodes of the graph, its subgraphs and functions. */
  readonly nodes: number
  /** Nodes after functions are written out; infinite where they call themselves. */
  readonly expandedNodes: number
  readonly functions: number
  readonly depth: number
  /** Operator -> how often; outside the standard domain as `domain::Operator`. */
  readonly ops: Readonly<Record<string, number>>
  /** Domains of the operators that are no functions of the model itself. */
  readonly domains: readonly string[]
  /** The largest constant that the graph makes from a stated shape, in elements. */
  readonly largestConstant: number
}

/** Element types of onnx.proto: their dtype in cards and their bits. */
const ELEMENT_TYPES: Readonly<Record<number, readonly [Dtype | null, number]>> = {
  1: ['float32', 32],
  2: ['uint8', 8],
  3: ['int8', 8],
  4: ['uint16', 16],
  5: ['int16', 16],
  6: ['int32', 32],
  7: ['int64', 64],
  9: ['bool', 8],
  10: [null, 16],
  11: ['float64', 64],
  12: ['uint32', 32],
  13: ['uint64', 64],
  14: [null, 64],
  15: [null, 128],
  16: [null, 16],
}
const INT64 = 7

/** A count of the operators of one graph or function. */
type Ops = Map<string, number>

interface TensorOutline {
  name: string
  type: number
  dims: number[]
  /** The bytes of `raw_data`, or null. */
  raw: readonly [start: number, end: number] | null
  isExternal: boolean
  hasLocation: boolean
}

export class OnnxOutline {
  readonly #bytes: Uint8Array
  readonly #walker: ProtobufWalker
  #irVersion = 0
  #nodes = 0
  #depth = 0
  #largestConstant = 0
  #hasGraph = false
  readonly #opsets = new Map<string, number>()
  readonly #inputs: OnnxValue[] = []
  readonly #outputs: OnnxValue[] = []
  readonly #external = new Set<string>()
  readonly #initialisers = new Set<string>()
  /** Small int64 constants by name: where shapes come from. */
  readonly #shapes = new Map<string, number>()
  readonly #mainOps: Ops = new Map()
  /** `domain::name` -> the operators inside. */
  readonly #functions = new Map<string, Ops>()
  /** Inputs of operators that make a constant of a shape. */
  readonly #shapeUses: string[] = []

  /** @throws ProtobufError where the bytes are malformed or beyond a bound */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#walker = new ProtobufWalker(bytes, MAX_FIELDS)
    this.#model()
  }

  get hasGraph(): boolean {
    return this.#hasGraph
  }

  /** ModelProto */
  #model(): void {
    this.#walker.walk(0, this.#bytes.length, {
      varint: (field, value) => {
        if (field === 1) this.#irVersion = value
      },
      bytes: (field, start, end) => {
        if (field === 7) this.#graph(start, end, 0, this.#mainOps)
        else if (field === 8) this.#opset(start, end)
        else if (field === 20) this.#training(start, end)
        else if (field === 25) this.#function(start, end)
      },
    })
  }

  summary(): OnnxSummary {
    const ops: Ops = new Map(this.#mainOps)
    for (const inner of this.#functions.values()) {
      for (const [op, count] of inner) ops.set(op, (ops.get(op) ?? 0) + count)
    }
    const foreign = [...ops.keys()].filter((op) => !this.#functions.has(op))
    const domains = new Set(
      foreign.map((op) => (op.includes('::') ? op.slice(0, op.indexOf('::')) : 'ai.onnx')),
    )
    for (const name of this.#shapeUses) {
      this.#largestConstant = Math.max(this.#largestConstant, this.#shapes.get(name) ?? 0)
    }
    return {
      irVersion: this.#irVersion,
      opsets: Object.fromEntries(this.#opsets),
      inputs: this.#inputs.filter((input) => !this.#initialisers.has(input.name)),
      outputs: this.#outputs,
      external: [...this.#external],
      nodes: this.#nodes,
      expandedNodes: this.#expand(this.#mainOps, new Map()),
      functions: this.#functions.size,
      depth: this.#depth,
      ops: Object.fromEntries(ops),
      domains: [...domains].sort(),
      largestConstant: this.#largestConstant,
    }
  }

  /** Nodes of a body once its functions are written out, as runtimes do on loading. */
  #expand(body: Ops, known: Map<string, number>): number {
    let nodes = 0
    for (const [op, count] of body) {
      const inner = this.#functions.get(op)
      if (inner !== undefined && !known.has(op)) {
        // Met again on the way down, it calls itself.
        known.set(op, Number.POSITIVE_INFINITY)
        known.set(op, this.#expand(inner, known))
      }
      nodes += count * (known.get(op) ?? 1)
    }
    return nodes
  }

  /** OperatorSetIdProto */
  #opset(start: number, end: number): void {
    let domain = ''
    let version = 0
    this.#walker.walk(start, end, {
      varint: (field, value) => {
        if (field === 2) version = value
      },
      bytes: (field, from, to) => {
        if (field === 1) domain = this.#walker.text(from, to)
      },
    })
    if (this.#opsets.size >= MAX_VALUES) throw tooMuch('too many operator sets', start)
    const key = domain || 'ai.onnx'
    this.#opsets.set(key, Math.max(version, this.#opsets.get(key) ?? 0))
  }

  /** TrainingInfoProto: never run, but its tensors are loaded. */
  #training(start: number, end: number): void {
    this.#walker.walk(start, end, {
      bytes: (field, from, to) => {
        if (field === 1 || field === 2) this.#graph(from, to, 1, this.#mainOps)
      },
    })
  }

  /** FunctionProto */
  #function(start: number, end: number): void {
    let name = ''
    let domain = ''
    const ops: Ops = new Map()
    this.#walker.walk(start, end, {
      bytes: (field, from, to) => {
        if (field === 1) name = this.#walker.text(from, to)
        else if (field === 10) domain = this.#walker.text(from, to)
        else if (field === 7) this.#node(from, to, 1, ops)
        else if (field === 9) this.#opset(from, to)
        else if (field === 11) this.#attribute(from, to, 1, ops)
      },
    })
    if (this.#functions.size > MAX_FUNCTIONS) throw tooMuch('too many functions', start)
    // Functions may be overloaded: together they bound what each of them is.
    const key = qualified(domain, name)
    for (const [op, count] of this.#functions.get(key) ?? [])
      ops.set(op, (ops.get(op) ?? 0) + count)
    this.#functions.set(key, ops)
  }

  /** GraphProto */
  #graph(start: number, end: number, depth: number, ops: Ops): void {
    if (depth > MAX_SUBGRAPH_DEPTH) throw tooMuch('graphs are nested too deep', start)
    this.#depth = Math.max(this.#depth, depth)
    this.#hasGraph = true
    this.#walker.walk(start, end, {
      bytes: (field, from, to) => {
        if (field === 1) this.#node(from, to, depth, ops)
        else if (field === 5) this.#initialiser(from, to)
        else if (field === 15) this.#sparse(from, to)
        else if (depth === 0 && field === 11) this.#value(from, to, this.#inputs)
        else if (depth === 0 && field === 12) this.#value(from, to, this.#outputs)
      },
    })
  }

  /** NodeProto */
  #node(start: number, end: number, depth: number, ops: Ops): void {
    this.#nodes += 1
    if (this.#nodes > MAX_NODES) throw tooMuch('too many nodes', start)
    let type = ''
    let domain = ''
    let firstInput: string | null = null
    this.#walker.walk(start, end, {
      bytes: (field, from, to) => {
        if (field === 1) firstInput ??= this.#walker.text(from, to)
        else if (field === 4) type = this.#walker.text(from, to)
        else if (field === 5) this.#attribute(from, to, depth, ops)
        else if (field === 7) domain = this.#walker.text(from, to)
      },
    })
    const op = qualified(domain, type)
    ops.set(op, (ops.get(op) ?? 0) + 1)
    if (op === 'ConstantOfShape' && firstInput !== null) this.#shapeUses.push(firstInput)
  }

  /** AttributeProto: tensors and graphs may hide in it. */
  #attribute(start: number, end: number, depth: number, ops: Ops): void {
    this.#walker.walk(start, end, {
      bytes: (field, from, to) => {
        if (field === 5 || field === 10) this.#tensor(from, to)
        else if (field === 6 || field === 11) this.#graph(from, to, depth + 1, ops)
        else if (field === 22 || field === 23) this.#sparse(from, to)
      },
    })
  }

  /** SparseTensorProto */
  #sparse(start: number, end: number): void {
    this.#walker.walk(start, end, {
      bytes: (field, from, to) => {
        if (field === 1 || field === 2) this.#tensor(from, to)
      },
    })
  }

  #initialiser(start: number, end: number): void {
    const { name, type, raw } = this.#tensor(start, end)
    this.#initialisers.add(name)
    if (type !== INT64 || raw === null || raw[1] - raw[0] > MAX_SHAPE_BYTES) return
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + raw[0], raw[1] - raw[0])
    let elements = 1
    for (let i = 0; i + 8 <= view.byteLength; i += 8) elements *= Number(view.getBigInt64(i, true))
    this.#shapes.set(name, elements)
  }

  /** TensorProto: checks that its bytes are as many as its shape says. */
  #tensor(start: number, end: number): TensorOutline {
    const tensor: TensorOutline = {
      name: '',
      type: 0,
      dims: [],
      raw: null,
      isExternal: false,
      hasLocation: false,
    }
    this.#walker.walk(start, end, {
      varint: (field, value) => {
        if (field === 1) tensor.dims.push(value)
        else if (field === 2) tensor.type = value
        else if (field === 14 && value === 1) tensor.isExternal = true
        if (tensor.dims.length > MAX_DIMS) throw tooMuch('a tensor has too many axes', start)
      },
      bytes: (field, from, to) => {
        if (field === 1) tensor.dims.push(...this.#walker.packed(from, to, MAX_DIMS))
        else if (field === 8) tensor.name = this.#walker.text(from, to)
        else if (field === 9) tensor.raw = [from, to]
        else if (field === 13) {
          tensor.isExternal = true
          if (this.#externalEntry(from, to)) tensor.hasLocation = true
        }
      },
    })
    if (tensor.isExternal && !tensor.hasLocation) this.#external.add('')
    const elements = tensor.dims.reduce((product, dim) => product * dim, 1)
    if (tensor.dims.some((dim) => dim < 0) || elements > Number.MAX_SAFE_INTEGER) {
      throw new ProtobufError('a tensor has an impossible shape', start)
    }
    const bits = ELEMENT_TYPES[tensor.type]?.[1]
    if (tensor.raw === null || tensor.isExternal || bits === undefined) return tensor
    const length = tensor.raw[1] - tensor.raw[0]
    if (length !== (elements * bits) / 8) {
      throw new ProtobufError(`a tensor of ${elements} elements has ${length} bytes`, start)
    }
    return tensor
  }

  /** StringStringEntryProto of external data; every location counts, not only the last one. */
  #externalEntry(start: number, end: number): boolean {
    let key = ''
    let value = ''
    this.#walker.walk(start, end, {
      bytes: (field, from, to) => {
        if (field === 1) key = this.#walker.text(from, to)
        else if (field === 2) value = this.#walker.text(from, to)
      },
    })
    if (key === 'location') this.#external.add(value)
    if (this.#external.size > MAX_EXTERNAL) throw tooMuch('too many external files', start)
    return key === 'location'
  }

  /** ValueInfoProto */
  #value(start: number, end: number, list: OnnxValue[]): void {
    let name = ''
    let type: Omit<OnnxValue, 'name'> = { dtype: null, shape: null }
    this.#walker.walk(start, end, {
      bytes: (field, from, to) => {
        if (field === 1) name = this.#walker.text(from, to)
        else if (field === 2) {
          this.#walker.walk(from, to, {
            bytes: (kind, a, b) => {
              if (kind === 1) type = this.#tensorType(a, b)
            },
          })
        }
      },
    })
    if (list.length >= MAX_VALUES) throw tooMuch('too many inputs or outputs', start)
    list.push({ name, ...type })
  }

  /** TypeProto.Tensor with its TensorShapeProto */
  #tensorType(start: number, end: number): Omit<OnnxValue, 'name'> {
    let dtype: Dtype | null = null
    let shape: (number | string | null)[] | null = null
    this.#walker.walk(start, end, {
      varint: (field, value) => {
        if (field === 1) dtype = ELEMENT_TYPES[value]?.[0] ?? null
      },
      bytes: (field, from, to) => {
        if (field !== 2) return
        const dims: (number | string | null)[] = []
        this.#walker.walk(from, to, {
          bytes: (inner, a, b) => {
            if (inner === 1) dims.push(this.#dimension(a, b))
            if (dims.length > MAX_DIMS) throw tooMuch('a value has too many axes', start)
          },
        })
        shape = dims
      },
    })
    return { dtype, shape }
  }

  #dimension(start: number, end: number): number | string | null {
    let dimension: number | string | null = null
    this.#walker.walk(start, end, {
      varint: (field, value) => {
        // Old exporters write -1 or 0 for a free size.
        if (field === 1) dimension = value > 0 ? value : null
      },
      bytes: (field, from, to) => {
        if (field === 2) dimension = this.#walker.text(from, to)
      },
    })
    return dimension
  }
}

const qualified = (domain: string, name: string): string =>
  domain === '' || domain === 'ai.onnx' ? name : `${domain}::${name}`

const tooMuch = (message: string, offset: number): ProtobufError =>
  new ProtobufError(message, offset, true)
