/** ONNX files: protobuf that is bent in its bytes and in its lengths. */
import { concat } from '../../../protocol/bytes.ts'
import { checkOnnx, scanOnnx } from '../../../protocol/onnx-model.ts'
import { MAX_NODES } from '../../../protocol/onnx-outline.ts'
import { identityModel, makeOnnx } from '../../helpers/onnx-model.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, settle, type Target } from '../fuzzer.ts'
import type { Random } from '../random.ts'

const [x, y] = [
  { name: 'x', shape: ['n'] },
  { name: 'y', shape: ['n'] },
]
const SAMPLES: readonly Uint8Array[] = [
  identityModel('Relu', 3),
  makeOnnx({
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
    inputs: [x],
    outputs: [y],
    constants: [{ name: 'w', shape: [2], data: new Uint8Array(8) }],
  }),
]

/** A message inside messages, a field of great length, or a number of ten bytes. */
function wrap(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length)
  const piece = bytes.subarray(at, at + random.below(100))
  const field = random.pick([0x0a, 0x2a, 0x32, 0x3a, 0x5a, 0x62, 0xca])
  const length = random.once(3) ? [0xff, 0xff, 0xff, 0xff, 0x7f] : [piece.length]
  return concat([bytes.subarray(0, at), Uint8Array.of(field, ...length), piece, bytes.subarray(at)])
}

export const onnxTarget: Target = {
  name: 'onnx',
  share: 30,
  mutant: (random) => {
    let raw = random.pick(SAMPLES)
    if (random.once(3)) raw = wrap(raw, random)
    return { raw: mutateBytes(raw, random), finish: (bytes) => bytes, isSigned: false }
  },
  judge(input) {
    const scanned = scanOnnx(input)
    if (!scanned.ok) return settle(scanned)
    const verdict = checkOnnx(scanned.value, [])
    const { external, nodes, expandedNodes } = scanned.value
    // The rules of what is run, once more.
    const isBounded = nodes <= MAX_NODES && expandedNodes <= MAX_NODES
    if (verdict.ok && (external.length > 0 || !isBounded)) throw new Breach('may run and must not')
    return settle(verdict)
  },
}
