import assert from 'node:assert/strict'
import { codeOfExit, codeOfMessage, readable } from '../../../daemon/inference/onnx-errors.ts'

/** Messages of the pinned runtime. */
const MESSAGES: readonly (readonly [string, 'open' | 'run', string])[] = [
  ['Load model from ./w.onnx failed:Protobuf parsing failed.', 'open', 'MODEL_PARSE'],
  [
    'Load model from ./w.onnx failed:Fatal error: com.evil:Evil(-1) is not a registered function/op',
    'open',
    'MODEL_UNSUPPORTED',
  ],
  [
    'External data path validation failed for initializer: w. Error: External data path escapes model directory.',
    'open',
    'EXTERNAL_DATA',
  ],
  ['Failed to allocate memory for requested buffer of size 2147483648', 'run', 'MODEL_MEMORY'],
  ['std::bad_alloc', 'run', 'MODEL_MEMORY'],
  ['Array buffer allocation failed', 'run', 'MODEL_MEMORY'],
  ['Got invalid dimensions for input: x for the following indices', 'run', 'INPUT'],
  ['Unexpected input data type. Actual: (tensor(float))', 'run', 'INPUT'],
  [
    'Non-zero status code returned while running Concat node. axis must be equal',
    'run',
    'MODEL_FAILED',
  ],
]

describe('daemon/inference/onnx-errors', () => {
  for (const [message, phase, code] of MESSAGES) {
    it(`reads ${code} in: ${message.slice(0, 50)}`, () => {
      assert.equal(codeOfMessage(message, phase), code)
    })
  }

  it('tells a crash from a lack of memory', () => {
    assert.equal(codeOfExit('SIGFPE', ''), 'MODEL_CRASH')
    assert.equal(codeOfExit('SIGABRT', ''), 'MODEL_CRASH')
    // The kernel's way when memory runs out; this side's own kills have their own codes.
    assert.equal(codeOfExit('SIGKILL', ''), 'MODEL_MEMORY')
    assert.equal(codeOfExit('SIGTRAP', '# Fatal JavaScript out of memory: Oilpan'), 'MODEL_MEMORY')
  })

  it('shows messages without places in the source, folders or control characters', () => {
    const shown = readable(
      'Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed to allocate\n\u001b[31m /data/spool/model-x1/w.bin and /data/spool/other',
      '/data/spool/model-x1',
    )
    assert.equal(shown, 'Status Message: Failed to allocate [31m /w.bin and ../other')
    assert.equal(
      readable(
        "tensorprotoutils.cc:1469 ValidateEmbedded Initializer 'w': raw_data size (8 bytes)",
        '/x/y',
      ),
      "Initializer 'w': raw_data size (8 bytes)",
    )
  })
})
