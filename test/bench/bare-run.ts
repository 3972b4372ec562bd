/**
 * The bare runtime in a process of its own: `session.run` with default options on the image of
 * http-bench.ts. Its idle threads spin for a while, so it must not live beside what it is compared
 * with. Called with the weights' path and a number of rounds; sends the milliseconds of each.
 */
import { readFile } from 'node:fs/promises'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { benchPixels, SIZE } from './bench-image.ts'

const WARM_UP = 2

const [weights = '', rounds = '0'] = process.argv.slice(2)
const session = await InferenceSession.create(await readFile(weights))
const pixels = benchPixels()
const times: number[] = []
for (let round = 0; round < WARM_UP + Number(rounds); round++) {
  const started = performance.now()
  await session.run({ x: new Tensor('float32', pixels, [1, 1, SIZE, SIZE]) })
  if (round >= WARM_UP) times.push(performance.now() - started)
}
process.send?.(times)
