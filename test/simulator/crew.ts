/** Worker processes that run jobs, one each at a time. */
import { type ChildProcess, fork } from 'node:child_process'
import type { Job, Result } from './worker.ts'

const here = (name: string): string => new URL(name, import.meta.url).pathname

export class Crew {
  readonly #workers: readonly ChildProcess[]
  readonly #free: ChildProcess[]
  readonly #waiting: ((worker: ChildProcess) => void)[] = []

  constructor(size: number) {
    this.#workers = Array.from({ length: size }, () =>
      fork(here('./worker.ts'), {
        // What a seed makes dies young: with more room for it, it is looked through less often.
        execArgv: ['--max-semi-space-size=64', '--import', here('./replace.ts')],
      }),
    )
    this.#free = [...this.#workers]
  }

  /** @throws Error where the worker dies */
  async do(job: Job): Promise<Result> {
    const worker = this.#free.pop() ?? (await this.#next())
    try {
      return await new Promise<Result>((done, fail) => {
        const died = (code: number | null): void => fail(new Error(`a worker died (${code})`))
        worker.once('exit', died)
        worker.once('message', (result: Result) => {
          worker.off('exit', died)
          done(result)
        })
        worker.send(job)
      })
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free.push(worker)
      else next(worker)
    }
  }

  #next(): Promise<ChildProcess> {
    return new Promise((done) => this.#waiting.push(done))
  }

  /** Lets all go. */
  end(): void {
    for (const worker of this.#workers) worker.disconnect()
  }
}
