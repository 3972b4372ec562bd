/** The clock seam: milliseconds since 1970 UTC. Tests pass one that they move by hand. */
export interface Clock {
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }
