/** Writes small ONNX models for tests: the few protobuf messages that they need, by hand. */

/** Element types of tensors, by the numbers of onnx.proto. */
const ELEMENT_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
} as const
type ElementType = keyof typeof ELEMENT_TYPES

export interface OnnxValue {
  readonly name: string
  /** Default float32. */
  readonly type?: ElementType
  /** A number is a fixed size, a text a free one. */
  readonly shape: readonly (number | string)[]
}

export interface OnnxNode {
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly domain?: string
  /** A number is an int attribute, a list of numbers ints, bytes a subgraph. */
  readonly attributes?: Readonly<Record<string, number | readonly number[] | Uint8Array>>
}

export interface OnnxConstant {
  readonly name: string
  readonly type?: ElementType
  readonly shape: readonly number[]
  /** Raw little-endian bytes. */
  readonly data?: Uint8Array
  /** Key-value pairs of external data, e.g. `{location: 'weights.bin'}`. */
  readonly external?: Readonly<Record<string, string>>
}

export interface OnnxParts {
  readonly nodes: readonly OnnxNode[]
  readonly inputs?: readonly OnnxValue[]
  readonly outputs?: readonly OnnxValue[]
  readonly constants?: readonly OnnxConstant[]
  /** Domain -> version; default `{'': 17}`. */
  readonly opsets?: Readonly<Record<string, number>>
  readonly irVersion?: number
  readonly functions?: readonly { domain: string; name: string; nodes: readonly OnnxNode[] }[]
}

export function makeOnnx(parts: OnnxParts): Uint8Array {
  const opsets = Object.entries(parts.opsets ?? { '': 17 })
  return message(
    integer(1, parts.irVersion ?? 9),
    bytes(7, makeGraph(parts)),
    ...opsets.map(([domain, version]) => bytes(8, message(text(1, domain), integer(2, version)))),
    ...(parts.functions ?? []).map((f) =>
      bytes(
        25,
        message(text(1, f.name), text(10, f.domain), ...f.nodes.map((n) => bytes(7, node(n)))),
      ),
    ),
  )
}

/** The graph alone, e.g. as a subgraph attribute. */
export function makeGraph({
  nodes,
  inputs = [],
  outputs = [],
  constants = [],
}: OnnxParts): Uint8Array {
  return message(
    ...nodes.map((n) => bytes(1, node(n))),
    text(2, 'graph'),
    ...constants.map((c) => bytes(5, constant(c))),
    ...inputs.map((v) => bytes(11, value(v))),
    ...outputs.map((v) => bytes(12, value(v))),
  )
}

/** One elementwise op on float32 of axes batch, channel, y, x; height and width are free. */
export function identityModel(op = 'Identity', channels = 1): Uint8Array {
  const shape = ['n', channels, 'h', 'w']
  return makeOnnx({
    nodes: [{ op, inputs: ['x'], outputs: ['y'] }],
    inputs: [{ name: 'x', shape }],
    outputs: [{ name: 'y', shape }],
  })
}

const node = ({ op, inputs, outputs, domain, attributes = {} }: OnnxNode): Uint8Array =>
  message(
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map(([name, v]) =>
      bytes(
        5,
        typeof v === 'number'
          ? message(text(1, name), integer(3, v), integer(20, 2))
          : v instanceof Uint8Array
            ? message(text(1, name), bytes(6, v), integer(20, 5))
            : message(text(1, name), ...v.map((i) => integer(8, i)), integer(20, 7)),
      ),
    ),
    ...(domain === undefined ? [] : [text(7, domain)]),
  )

const value = ({ name, type = 'float32', shape }: OnnxValue): Uint8Array => {
  const dims = shape.map((d) => bytes(1, typeof d === 'string' ? text(2, d) : integer(1, d)))
  const tensorType = message(integer(1, ELEMENT_TYPES[type]), bytes(2, message(...dims)))
  return message(text(1, name), bytes(2, bytes(1, tensorType)))
}

const constant = ({ name, type = 'float32', shape, data, external }: OnnxConstant): Uint8Array =>
  message(
    ...shape.map((d) => integer(1, d)),
    integer(2, ELEMENT_TYPES[type]),
    text(8, name),
    ...(data === undefined ? [] : [bytes(9, data)]),
    ...Object.entries(external ?? {}).map(([k, v]) => bytes(13, message(text(1, k), text(2, v)))),
    ...(external === undefined ? [] : [integer(14, 1)]),
  )

const message = (...fields: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(Buffer.concat(fields))
const bytes = (field: number, content: Uint8Array): Uint8Array =>
  message(varint((field << 3) | 2), varint(content.length), content)
const text = (field: number, content: string): Uint8Array =>
  bytes(field, new TextEncoder().encode(content))
const integer = (field: number, n: number): Uint8Array => message(varint(field << 3), varint(n))

function varint(n: number): Uint8Array {
  const out: number[] = []
  let rest = BigInt.asUintN(64, BigInt(n))
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128)
  return Uint8Array.from([...out, Number(rest)])
}
