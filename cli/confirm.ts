/** Asks a person before something is done that others may have arranged. */
import { createInterface } from 'node:readline/promises'
import { ZoariumError } from '../protocol/errors.ts'
import type { Session } from './session.ts'

/** @throws ZoariumError USAGE where nobody can be asked, CANCELLED where the answer is not yes */
export async function confirm({ io, output }: Session, question: string): Promise<void> {
  const { stdin, stderr } = io
  if (stdin === null || stdin.isTTY !== true || output.isJson) {
    throw new ZoariumError('USAGE', 'nobody is here to be asked', {
      hint: 'look at it, then say --yes',
    })
  }
  const lines = createInterface({ input: stdin, output: stderr, terminal: true })
  const cancelled = new AbortController()
  lines.on('SIGINT', () => cancelled.abort())
  lines.on('close', () => cancelled.abort())
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal: cancelled.signal })
    if (/^y(es)?$/i.test(answer.trim())) return
  } catch {
    // The answer is not yes.
  } finally {
    lines.close()
  }
  throw new ZoariumError('CANCELLED', 'nothing was changed')
}
