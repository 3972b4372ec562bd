/** A promise that was broken in a run. */
export class Violation extends Error {
  override readonly name = 'Violation'
  /** Which promise, in few words; a shrunk plan breaks the same one. */
  readonly invariant: string
  readonly node: string

  constructor(invariant: string, node: string, details: string) {
    super(`${invariant}: ${node}: ${details}`)
    this.invariant = invariant
    this.node = node
  }
}
