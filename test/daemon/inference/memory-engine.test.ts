import { MemoryEngine } from '../../../daemon/inference/memory-engine.ts'
import { ZoariumError } from '../../../protocol/errors.ts'
import { engineSuite } from '../../suites/engine.ts'

const plane = { name: 'x', dtype: 'float32', shape: [-1, -1] } as const
const inAndOut = { inputs: [plane], outputs: [plane] }
const named = (main: string) => ({ id: main, main, files: [] })

engineSuite('MemoryEngine', async () => {
  const engine = new MemoryEngine({
    identity: { ...inAndOut, run: (inputs) => inputs },
    hanging: { ...inAndOut, run: () => new Promise(() => {}) },
    crashing: {
      ...inAndOut,
      run: () => {
        throw new ZoariumError('MODEL_CRASH', 'the process that ran the model died')
      },
    },
  })
  return {
    engine,
    models: {
      identity: named('identity'),
      hanging: named('hanging'),
      crashing: named('crashing'),
      broken: named('nothing'),
    },
    crashInput: { dtype: 'float32', axes: [], shape: [1, 1], data: Float32Array.of(1) },
    close: () => engine.close(),
  }
})
