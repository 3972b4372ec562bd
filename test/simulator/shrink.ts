/** Shrinking: leaves out of a plan what it takes not to fail, as long as it fails alike. */
import type { Plan, PlanEvent } from './plan.ts'

/** @returns whether a plan still breaks the same promise */
export type StillFails = (plan: Plan) => Promise<boolean>

export interface Shrunk {
  readonly plan: Plan
  /** Plans that were tried. */
  readonly tries: number
}

/**
 * The smallest plan found within so many tries: events first, in ever smaller parts, then what
 * nodes say, lie and are wired by.
 */
export async function shrink(plan: Plan, fails: StillFails, maxTries = 400): Promise<Shrunk> {
  const search = new Search(plan, fails, maxTries)
  await search.run()
  return { plan: search.plan, tries: search.tries }
}

class Search {
  plan: Plan
  tries = 0
  readonly #fails: StillFails
  readonly #maxTries: number

  constructor(plan: Plan, fails: StillFails, maxTries: number) {
    this.plan = plan
    this.#fails = fails
    this.#maxTries = maxTries
  }

  async run(): Promise<void> {
    for (let before = ''; before !== JSON.stringify(this.plan) && this.#isWilling; ) {
      before = JSON.stringify(this.plan)
      await this.#list(
        (plan) => plan.events,
        (events) => ({ ...this.plan, events }),
      )
      await this.#sayings()
      await this.#strategies()
      await this.#list(
        (plan) => plan.wires,
        (wires) => ({ ...this.plan, wires }),
      )
      await this.#try({ ...this.plan, rounds: Math.max(1, Math.floor(this.plan.rounds / 2)) })
    }
  }

  get #isWilling(): boolean {
    return this.tries < this.#maxTries
  }

  async #try(plan: Plan): Promise<boolean> {
    if (!this.#isWilling) return false
    this.tries++
    const isLess = await this.#fails(plan)
    if (isLess) this.plan = plan
    return isLess
  }

  /** Leaves out parts of a list: halves first, single items last. */
  async #list<T>(read: (plan: Plan) => readonly T[], write: (items: readonly T[]) => Plan) {
    for (let size = Math.ceil(read(this.plan).length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < read(this.plan).length && this.#isWilling; ) {
        const items = read(this.plan)
        const isLess = await this.#try(write([...items.slice(0, at), ...items.slice(at + size)]))
        if (!isLess) at += size
      }
    }
  }

  /** What is said at once, shortened to one statement. */
  async #sayings(): Promise<void> {
    for (const [index, event] of this.plan.events.entries()) {
      if (event.do !== 'say' || event.what.length === 1) continue
      const halves = [event.what.slice(0, 1), event.what.slice(0, Math.ceil(event.what.length / 2))]
      for (const what of halves) if (await this.#try(this.#with(index, { ...event, what }))) break
    }
  }

  #with(index: number, event: PlanEvent): Plan {
    return { ...this.plan, events: this.plan.events.with(index, event) }
  }

  async #strategies(): Promise<void> {
    for (const [index, node] of this.plan.nodes.entries()) {
      for (const strategy of node.strategies ?? []) {
        const strategies = (this.plan.nodes[index]?.strategies ?? []).filter(
          (each) => each !== strategy,
        )
        const nodes = this.plan.nodes.with(index, { ...node, strategies })
        await this.#try({ ...this.plan, nodes })
      }
    }
  }
}
