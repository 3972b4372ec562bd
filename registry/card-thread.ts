/** A thread that reads cards for card-reader.ts, some at a time. */
import { parentPort } from 'node:worker_threads'
import { readOne } from './card-reader.ts'

parentPort?.on('message', (cards: readonly Uint8Array[]) => {
  parentPort?.postMessage(cards.map(readOne))
})
