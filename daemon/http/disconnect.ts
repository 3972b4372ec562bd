/** Ends work that nobody waits for any more. */
import { ZoariumError } from '../../protocol/errors.ts'
import type { Context } from './context.ts'

/** Aborts, with CANCELLED, when the connection closes before the answer was sent. */
export function whileConnected({ res }: Context): AbortSignal {
  const controller = new AbortController()
  res.once('close', () => {
    if (!res.writableFinished) {
      controller.abort(new ZoariumError('CANCELLED', 'the client went away'))
    }
  })
  return controller.signal
}
