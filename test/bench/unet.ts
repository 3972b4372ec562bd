/**
 * A U-Net of seeded weights as ONNX: the usual shape of published models (two 3x3 convolutions a
 * level, pooling by 2, transposed convolutions back, skip connections, sigmoid), so that figures
 * need no foreign model. Height and width are free multiples of 2^depth.
 */
import { makeOnnx, type OnnxConstant, type OnnxNode } from '../helpers/onnx-model.ts'

export interface UnetOptions {
  /** Channels of the first level, doubled at each. */
  readonly base?: number
  /** Number of poolings. */
  readonly depth?: number
  readonly seed?: number
}

/** mulberry32: 32 bits of state, the same numbers everywhere. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

class Network {
  readonly nodes: OnnxNode[] = []
  readonly constants: OnnxConstant[] = []
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = randomOf(seed)
  }

  node(
    op: string,
    inputs: readonly string[],
    output: string,
    attributes: OnnxNode['attributes'] = {},
  ): string {
    this.nodes.push({ op, inputs, outputs: [output], attributes })
    return output
  }

  /** Uniform about 0 with the variance 2 / fan-in, so that values neither grow nor vanish. */
  weights(name: string, shape: readonly number[], fanIn: number): string {
    const bound = Math.sqrt(6 / fanIn)
    const count = shape.reduce((n, d) => n * d, 1)
    const values = Float32Array.from({ length: count }, () => (this.#random() * 2 - 1) * bound)
    this.constants.push({ name, shape, data: new Uint8Array(values.buffer) })
    return name
  }

  convolution(x: string, from: number, to: number, name: string, size = 3): string {
    const kernel = this.weights(`${name}.w`, [to, from, size, size], from * size * size)
    const bias = this.weights(`${name}.b`, [to], 1e4)
    const pad = (size - 1) / 2
    return this.node('Conv', [x, kernel, bias], name, {
      kernel_shape: [size, size],
      pads: [pad, pad, pad, pad],
    })
  }

  block(x: string, from: number, to: number, name: string): string {
    const first = this.node('Relu', [this.convolution(x, from, to, `${name}.1`)], `${name}.1r`)
    return this.node('Relu', [this.convolution(first, to, to, `${name}.2`)], `${name}.2r`)
  }
}

/** Bytes of an ONNX file: float32 [n, 1, h, w] in and out. */
export function makeUnet({ base = 16, depth = 4, seed = 1 }: UnetOptions = {}): Uint8Array {
  const net = new Network(seed)
  const two = { kernel_shape: [2, 2], strides: [2, 2] }
  const skips: string[] = []
  let x = 'x'
  let channels = 1
  for (let level = 0; level < depth; level++) {
    x = net.block(x, channels, base << level, `down${level}`)
    channels = base << level
    skips.push(x)
    x = net.node('MaxPool', [x], `pool${level}`, two)
  }
  x = net.block(x, channels, base << depth, 'middle')
  for (let level = depth - 1; level >= 0; level--) {
    const to = base << level
    const kernel = net.weights(`up${level}.w`, [to * 2, to, 2, 2], to * 2)
    const up = net.node('ConvTranspose', [x, kernel], `up${level}`, two)
    const joined = net.node('Concat', [skips[level] ?? '', up], `join${level}`, { axis: 1 })
    x = net.block(joined, to * 2, to, `up${level}.block`)
  }
  net.node('Sigmoid', [net.convolution(x, base, 1, 'head', 1)], 'y')
  const shape = ['n', 1, 'h', 'w']
  return makeOnnx({
    nodes: net.nodes,
    constants: net.constants,
    inputs: [{ name: 'x', shape }],
    outputs: [{ name: 'y', shape }],
  })
}
