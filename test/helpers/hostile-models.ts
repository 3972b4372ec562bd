/** Small legal models that hang or kill a runtime. */
import { makeGraph, makeOnnx } from './onnx-model.ts'

const i64 = (...values: bigint[]): Uint8Array => new Uint8Array(BigInt64Array.from(values).buffer)

/** x (float32, rank 2) through a loop of 10^18 turns. */
export function endlessModel(): Uint8Array {
  const body = makeGraph({
    nodes: [
      { op: 'Identity', inputs: ['keep_in'], outputs: ['keep_out'] },
      { op: 'Add', inputs: ['v_in', 'v_in'], outputs: ['v_out'] },
    ],
    inputs: [
      { name: 'i', type: 'int64', shape: [] },
      { name: 'keep_in', type: 'bool', shape: [] },
      { name: 'v_in', shape: ['h', 'w'] },
    ],
    outputs: [
      { name: 'keep_out', type: 'bool', shape: [] },
      { name: 'v_out', shape: ['h', 'w'] },
    ],
  })
  return makeOnnx({
    nodes: [{ op: 'Loop', inputs: ['turns', '', 'x'], outputs: ['y'], attributes: { body } }],
    inputs: [{ name: 'x', shape: ['h', 'w'] }],
    outputs: [{ name: 'y', shape: ['h', 'w'] }],
    constants: [{ name: 'turns', type: 'int64', shape: [], data: i64(10n ** 18n) }],
  })
}

/** int32 x / y; the smallest integer by -1 kills the process by SIGFPE. */
export function dividingModel(): Uint8Array {
  return makeOnnx({
    nodes: [{ op: 'Div', inputs: ['x', 'minus'], outputs: ['y'] }],
    inputs: [{ name: 'x', type: 'int32', shape: ['n'] }],
    outputs: [{ name: 'y', type: 'int32', shape: ['n'] }],
    constants: [
      { name: 'minus', type: 'int32', shape: [1], data: new Uint8Array(Int32Array.of(-1).buffer) },
    ],
  })
}
