import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { mkdtemp, readFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { decodeNpy } from '../../../daemon/inference/image/npy.ts'
import { Inference, type RunnableModel } from '../../../daemon/inference/inference.ts'
import { createOnnxEngine } from '../../../daemon/inference/onnx-engine.ts'
import { readCard } from '../../../protocol/card.ts'
import type { Cid } from '../../../protocol/cid.ts'
import { expectOk, type ZoariumError } from '../../../protocol/errors.ts'
import type { ModelDescription } from '../../../protocol/model-description.ts'
import { modelAt } from '../../helpers/engine-model.ts'
import { fixturePath, needsFixtures } from '../../helpers/fixtures.ts'
import { stepped } from '../../helpers/model-description.ts'

const OPTIONS = { deadlineMs: 60_000 }

describe('daemon/inference: a published U-Net', () => {
  needsFixtures()
  const inFolder = (name: string): string =>
    fixturePath('bioimageio', 'examples', 'models', 'unet2d_nuclei_broad', name)

  let spool = ''
  let inference: Inference
  let description: ModelDescription
  before(async () => {
    spool = await mkdtemp(path.join(os.tmpdir(), 'zoarium-engine-'))
    inference = new Inference({ engine: await createOnnxEngine({ spool }) })
    description = expectOk(readCard(await readFile(inFolder('bioimageio.yaml')))).description
  })
  after(async () => {
    await inference?.close()
    rmSync(spool, { recursive: true, force: true })
  })

  const withWeights = (name: string): RunnableModel => ({
    record: name as Cid,
    description,
    engineModel: modelAt(inFolder(name)),
  })

  it('reproduces its own test to a few millionths', async () => {
    const read = (name: string): Promise<Buffer> => readFile(inFolder(name))
    const result = await inference.reproduce(withWeights('weights.onnx'), read, OPTIONS)
    assert.equal(result.ok, true)
    assert.equal(result.mismatchedPerMillion, 0)
    assert.ok(result.worstAbsolute < 1e-5, String(result.worstAbsolute))
  })

  it('answers the array of its test output for the array of its test input', async () => {
    const bytes = await readFile(inFolder('test_input.npy'))
    const inputs = new Map([[null, { bytes, mediaType: null }]])
    const { body, mediaType } = await inference.run(withWeights('weights.onnx'), inputs, OPTIONS)
    assert.equal(mediaType, 'application/x-npy')
    const actual = expectOk(decodeNpy(body)).tensor
    const expected = expectOk(decodeNpy(await readFile(inFolder('test_output.npy')))).tensor
    assert.deepEqual(actual.shape, expected.shape)
    let worst = 0
    for (const [i, value] of expected.data.entries()) {
      worst = Math.max(worst, Math.abs(Number(value) - Number(actual.data[i])))
    }
    assert.ok(worst < 1e-3, String(worst))
  })

  it('runs on other sizes with free weights, and says that its own are fixed', async () => {
    const image = await readFile(inFolder('test_input.png'))
    const inputs = new Map([[null, { bytes: image, mediaType: null }]])
    const free: ModelDescription = {
      ...description,
      inputs: description.inputs.map((input) => ({
        ...input,
        axes: input.axes.map((axis) =>
          axis.type === 'space' ? { ...axis, size: stepped(8, 200) } : axis,
        ),
      })),
    }
    const dynamic = { ...withWeights('derived_dynamic_hw.onnx'), description: free }
    const result = await inference.run(dynamic, inputs, { ...OPTIONS, output: 'png' })
    assert.deepEqual(result.outputs[0]?.shape, [1, 1, 512, 512])
    assert.match(result.notes[0] ?? '', /512 to 608/)
    const fixed = { ...withWeights('weights.onnx'), description: free }
    await assert.rejects(inference.run(fixed, inputs, OPTIONS), (error: ZoariumError) => {
      assert.deepEqual([error.code, error.data.limit, error.data.got], ['INPUT', 512, 608])
      return true
    })
  })
})
