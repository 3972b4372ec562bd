/** Keeps a connection to each of the operator's peers: dials again for ever, ever more slowly. */
import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Log } from '../log.ts'
import { jitter, type Sleep } from './sleep.ts'

const FIRST_WAIT_MS = 1_000
const LAST_WAIT_MS = 5 * 60_000

export interface KeepDialledOptions {
  readonly dial: (address: Multiaddr, signal: AbortSignal) => Promise<Connection>
  readonly sleep: Sleep
  readonly random: () => number
  readonly log: Log
}

/** Runs until `signal` is aborted. */
export async function keepDialled(
  address: Multiaddr,
  { dial, sleep, random, log }: KeepDialledOptions,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    try {
      const connection = await dial(address, signal)
      failures = 0
      await closed(connection, signal)
    } catch (error) {
      if (signal.aborted) return
      failures++
      log.debug({ address: address.toString(), failures, err: error }, "couldn't dial a peer")
    }
    const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.max(0, failures - 1), LAST_WAIT_MS)
    await sleep(jitter(wait, random), signal).catch(() => {})
  }
}

const closed = (connection: Connection, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (connection.status !== 'open' || signal.aborted) return resolve()
    const done = () => {
      signal.removeEventListener('abort', done)
      resolve()
    }
    connection.addEventListener('close', done)
    signal.addEventListener('abort', done)
  })
