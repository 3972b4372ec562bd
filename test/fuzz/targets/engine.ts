/** What the process of a model answers; it may be the model's own words by then. */
import { AnswerReader, encodeHeader } from '../../../daemon/inference/engine-wire.ts'
import { concat } from '../../../protocol/bytes.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, type Target } from '../fuzzer.ts'

const MAX_PAYLOAD_BYTES = 1024
const ran = encodeHeader({
  type: 'ran',
  computeMs: 1.5,
  memoryBytes: 1000,
  tensors: [{ dtype: 'float32', shape: [1, 2] }],
})
const opened = encodeHeader({
  type: 'opened',
  inputs: [{ name: 'x', dtype: 'float32', shape: [-1, 3] }],
  outputs: [],
  memoryBytes: 1000,
})
const SAMPLES = [
  concat([ran, new Uint8Array(8)]),
  opened,
  encodeHeader({ type: 'failed', message: 'no' }),
]

/** The length of the header fits what there is, so that the header itself is read. */
function withLength(bytes: Uint8Array): Uint8Array {
  const end = bytes.lastIndexOf(0x7d) + 1
  const copy = Uint8Array.from(bytes)
  if (end >= 4) new DataView(copy.buffer).setUint32(0, end - 4, true)
  return copy
}

export const engineTarget: Target = {
  name: 'engine-answer',
  share: 15,
  mutant: (random) => {
    const isSigned = random.once(2)
    const raw = mutateBytes(random.pick(SAMPLES), random)
    return { raw, finish: isSigned ? withLength : (bytes) => bytes, isSigned }
  },
  judge(input) {
    try {
      const frame = new AnswerReader(MAX_PAYLOAD_BYTES).push(input)
      const bytes = frame?.tensors.reduce((sum, { data }) => sum + data.byteLength, 0) ?? 0
      if (bytes > MAX_PAYLOAD_BYTES) throw new Breach('more than the bound')
      return 'accepted'
    } catch (error) {
      const isKnown =
        error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError
      if (!isKnown) throw error
      // What the owner of the process makes of any of them.
      return 'MODEL_CRASH'
    }
  },
}
