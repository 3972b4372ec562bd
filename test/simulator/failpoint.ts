/** What the simulator loads in place of registry/failpoint.ts: a simulated crash throws there. */

/** Ends whatever a node was doing, as a kill would. */
export class SimulatedCrash extends Error {
  override readonly name = 'SimulatedCrash'
}

let armed: { readonly at: string | null; readonly die: () => void } | null = null
let passed = 0

/** Dies at the next passage of a failpoint, or of any (null). */
export function armFailpoint(at: string | null, die: () => void): void {
  armed = { at, die }
}

export function disarmFailpoint(): void {
  armed = null
}

/** Failpoints passed so far; for the counts. */
export const failpointsPassed = (): number => passed

export function failpoint(name: string): void {
  passed++
  if (armed === null || (armed.at !== null && armed.at !== name)) return
  const { die } = armed
  armed = null
  die()
  throw new SimulatedCrash(name)
}
