/** Waiting, so that tests can decide when time is over. */
import { setTimeout } from 'node:timers/promises'

/** Resolves after so many milliseconds, or rejects as soon as `signal` is aborted. */
export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>

/** Does not keep the process alive. */
export const systemSleep: Sleep = (ms, signal) => setTimeout(ms, undefined, { signal, ref: false })

/** `ms`, up to a fifth more or less, so that nodes do not act in step. */
export const jitter = (ms: number, random: () => number): number => ms * (0.8 + 0.4 * random())
