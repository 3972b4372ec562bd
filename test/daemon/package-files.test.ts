import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { collect, copyFrom } from '../../daemon/package-files.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { examplePackage } from '../helpers/test-registry.ts'

describe('daemon/package-files', () => {
  it('copies a file for its owner only, and reads one', async () => {
    const { source, folder } = await examplePackage()
    const original = readFileSync(join(folder, 'weights.onnx'))
    const target = join(temporaryFolder(), 'copy.onnx')
    await copyFrom(source, 'weights.onnx', target)
    assert.deepEqual(readFileSync(target), original)
    assert.equal(statSync(target).mode & 0o777, 0o600)
    assert.deepEqual(await collect(source, 'weights.onnx'), original)
  })

  it('says that a copy could not be kept', async () => {
    const { source } = await examplePackage()
    const target = join(temporaryFolder(), 'a-folder')
    mkdirSync(target)
    await assert.rejects(copyFrom(source, 'weights.onnx', target), { code: 'STORE' })
  })
})
