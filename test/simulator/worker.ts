/**
 * A process that runs seeds for main.ts: it takes jobs and gives back outcomes over the channel of
 * its parent. Started with replace.ts, so that the simulator's modules stand in for the real ones.
 */
import process from 'node:process'
import type { Sabotage } from './node.ts'
import { createPlan, type Plan, type PlanOptions } from './plan.ts'
import { shrink } from './shrink.ts'
import { type Outcome, simulate } from './simulation.ts'

export type Job =
  | { readonly do: 'seed'; readonly seed: string; readonly options: PlanOptions }
  | { readonly do: 'plan'; readonly plan: Plan; readonly sabotage: Sabotage | null }
  | { readonly do: 'shrink'; readonly seed: string; readonly options: PlanOptions }

export type Result =
  | { readonly did: 'run'; readonly outcome: Outcome }
  | {
      readonly did: 'shrink'
      readonly plan: Plan
      readonly outcome: Outcome
      readonly tries: number
    }

async function work(job: Job): Promise<Result> {
  switch (job.do) {
    case 'seed':
      return { did: 'run', outcome: await simulate(createPlan(job.seed, job.options)) }
    case 'plan':
      return { did: 'run', outcome: await simulate(job.plan, job.sabotage) }
    case 'shrink': {
      const whole = createPlan(job.seed, job.options)
      const { failure } = await simulate(whole)
      const fails = async (plan: Plan): Promise<boolean> =>
        (await simulate(plan)).failure?.invariant === failure?.invariant
      const { plan, tries } = await shrink(whole, fails)
      return { did: 'shrink', plan, tries, outcome: await simulate(plan) }
    }
  }
}

process.on('message', (job: Job) => {
  void work(job).then((result) => process.send?.(result))
})
