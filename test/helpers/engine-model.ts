/** Engine models out of bytes in memory or files on disk. */

import { statSync } from 'node:fs'
import { copyFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { EngineModel } from '../../daemon/inference/engine.ts'

/** @param others further files beside the weights, by name */
export function modelOf(
  weights: Uint8Array,
  others: Readonly<Record<string, Uint8Array>> = {},
  id = 'model',
): EngineModel {
  const files = { 'weights.onnx': weights, ...others }
  return {
    id,
    main: 'weights.onnx',
    files: Object.entries(files).map(([name, bytes]) => ({
      name,
      size: bytes.length,
      copyTo: (to) => writeFile(to, bytes),
    })),
  }
}

export function modelAt(file: string, id = path.basename(file)): EngineModel {
  const name = 'weights.onnx'
  const { size } = statSync(file)
  return { id, main: name, files: [{ name, size, copyTo: (to) => copyFile(file, to) }] }
}
