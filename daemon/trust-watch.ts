/** Takes in the policy file whenever its operator has changed it. */
import type { Registry } from '../registry/registry.ts'
import type { Log } from './log.ts'

/**
 * How often the file is read. That costs less than a millisecond, and unlike events of the file
 * system it works for every editor, mount, date and file that is not there yet.
 */
export const LOOK_MS = 1000

export interface TrustWatchOptions {
  readonly registry: Pick<Registry, 'reloadTrust' | 'trustFault'>
  readonly log: Pick<Log, 'info' | 'error'>
  /** Default {@link LOOK_MS}. */
  readonly everyMs?: number
}

/** @returns a function that ends it */
export function watchTrust({ registry, log, everyMs = LOOK_MS }: TrustWatchOptions): () => void {
  const look = (): void => {
    if (!registry.reloadTrust()) return
    const fault = registry.trustFault
    if (fault === null) {
      log.info('trust.yaml has changed, and its rules are in force')
      return
    }
    const { code, message, issues } = fault
    log.error({ code, message, issues }, 'trust.yaml is wrong; the rules before it stay in force')
  }
  const timer = setInterval(look, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}
