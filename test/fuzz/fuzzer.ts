/**
 * The loop: makes mutants of a target, judges each, counts, and shrinks the first that breaks a
 * property. Mutant n of a seed is the same whatever ran before it, so that each can be had again.
 */
import { toHex } from '../../protocol/bytes.ts'
import { CODES, type Failure, type Verdict, ZoariumError } from '../../protocol/errors.ts'
import { Random } from './random.ts'
import type { Fault } from './rules/encoding.ts'

/** What goes into a decoder, and how it was made. */
export interface Mutant {
  /** What was changed, and what is cut down when a failure is shrunk. */
  readonly raw: Uint8Array
  /** Makes the input of `raw`: signs it anew, or leaves it. */
  readonly finish: (raw: Uint8Array) => Uint8Array
  readonly isSigned: boolean
}

/** A decoder, with mutants for it and what must hold of its answers. */
export interface Target {
  readonly name: string
  /** Its part of all runs, beside those of the others. */
  readonly share: number
  mutant(random: Random): Mutant
  /** @throws Breach */
  judge(input: Uint8Array): Outcome | Promise<Outcome>
}

/** `accepted`: by the decoder and by the rules. Otherwise the code of the refusal. */
export type Outcome = 'accepted' | keyof typeof CODES

/** A property that does not hold. */
export class Breach extends Error {
  override readonly name = 'Breach'
}

/** A decoder's answer that agrees with the rules; without `fault` the rules are not asked. */
export function settle(verdict: Verdict<unknown>, fault?: () => Fault): Outcome {
  const rule = fault?.()
  if (verdict.ok) {
    if (typeof rule === 'string') throw new Breach(`accepted against the rules: ${rule}`)
    return 'accepted'
  }
  if (rule === null) throw new Breach(`refused with ${verdict.code}, though no rule is broken`)
  return codeOf(verdict)
}

/** A coded refusal whose parts can be shown. */
export function codeOf({ code, message, field, limit, got }: Failure): Outcome {
  if (!Object.hasOwn(CODES, code)) throw new Breach(`a refusal without a known code: ${code}`)
  if (code === 'INTERNAL') throw new Breach(`a refusal as a defect of the program: ${message}`)
  if (message === '') throw new Breach(`${code} without a message`)
  for (const part of [field, limit, got]) {
    if (part === undefined) continue
    const isShown = typeof part === 'number' ? Number.isFinite(part) : typeof part === 'string'
    if (!isShown || String(part).length > MAX_SHOWN) throw new Breach(`${code} shows too much`)
  }
  return code
}
/** Longest part of a refusal: a limit may list types or names. */
const MAX_SHOWN = 2000

/** Runs what throws coded errors as if it gave verdicts; anything else that is thrown is a breach. */
export function verdictOf<T>(run: () => T): Verdict<T> {
  try {
    return { ok: true, value: run() }
  } catch (error) {
    if (!(error instanceof ZoariumError)) throw error
    return { ok: false, code: error.code, message: error.message, ...error.data }
  }
}

export interface Tally {
  readonly target: string
  mutants: number
  signed: number
  accepted: number
  readonly refused: Map<string, number>
  /** Milliseconds of the slowest mutant. */
  slowest: number
  ms: number
}

export interface Finding {
  readonly target: string
  readonly at: number
  readonly message: string
  /** Shrunk, hex. */
  readonly input: string
}

/** Longest time that a mutant may take, in milliseconds; a busy machine gets a second try. */
const MAX_MS = 2000
/** After so long a decoder that waits for something is taken to wait for ever. */
const HANG_MS = 5000
/** Most memory that the mutants of one target may cost, whatever the process held before. */
const MAX_GROWTH_BYTES = 768 * 1024 ** 2
/** Mutants between two looks at the memory. */
const MEMORY_EVERY = 512
/** Tries at making a failing input smaller. */
const MAX_SHRINKS = 2000

/**
 * Runs mutants `from` to `until - 1` of a target.
 * @returns what was counted, and the first failure
 */
export async function fuzz(
  target: Target,
  seed: number,
  from: number,
  until: number,
): Promise<{ readonly tally: Tally; readonly finding: Finding | null }> {
  const tally: Tally = {
    target: target.name,
    mutants: 0,
    signed: 0,
    accepted: 0,
    refused: new Map(),
    slowest: 0,
    ms: 0,
  }
  const started = performance.now()
  const before = process.memoryUsage().rss
  let finding: Finding | null = null
  for (let n = from; n < until && finding === null; n++) {
    const mutant = target.mutant(new Random(seed, target.name, n))
    tally.mutants++
    if (mutant.isSigned) tally.signed++
    const input = mutant.finish(mutant.raw)
    const judged = judge(target, input)
    const { message, outcome, ms } = judged instanceof Promise ? await judged : judged
    tally.slowest = Math.max(tally.slowest, ms)
    if (outcome === 'accepted') tally.accepted++
    else if (outcome !== null) tally.refused.set(outcome, (tally.refused.get(outcome) ?? 0) + 1)
    const fault = message ?? (n % MEMORY_EVERY === 0 ? memoryFault(before) : null)
    if (fault !== null)
      finding = { target: target.name, at: n, ...(await shrink(target, mutant, fault)) }
  }
  tally.ms = performance.now() - started
  return { tally, finding }
}

interface Judged {
  readonly outcome: Outcome | null
  /** What is wrong, or null. */
  readonly message: string | null
  readonly ms: number
}

function judge(target: Target, input: Uint8Array): Judged | Promise<Judged> {
  const started = performance.now()
  const end = (outcome: Outcome): Judged => {
    const ms = performance.now() - started
    return { outcome, ms, message: ms > MAX_MS ? `took ${Math.round(ms)} ms` : null }
  }
  const failed = (error: unknown): Judged => ({
    outcome: null,
    ms: performance.now() - started,
    message:
      error instanceof Breach ? error.message : `threw ${String((error as Error)?.stack ?? error)}`,
  })
  try {
    const outcome = target.judge(input)
    return outcome instanceof Promise ? inTime(outcome).then(end, failed) : end(outcome)
  } catch (error) {
    return failed(error)
  }
}

/** An answer, or the breach that there is none. */
async function inTime(outcome: Promise<Outcome>): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Breach(`no answer within ${HANG_MS} ms`)), HANG_MS)
  })
  try {
    return await Promise.race([outcome, late])
  } finally {
    clearTimeout(timer)
  }
}

function memoryFault(before: number): string | null {
  const growth = process.memoryUsage().rss - before
  return growth > MAX_GROWTH_BYTES ? `the process has grown by ${growth} bytes` : null
}

/** Leaves out pieces, half as long each time, as long as something is still wrong. */
async function shrink(target: Target, { raw, finish }: Mutant, fault: string) {
  let [message, smallest, tries] = [fault, raw, 0]
  const isSlow = fault.startsWith('took')
  for (let piece = raw.length >> 1; piece > 0 && !isSlow; piece >>= 1) {
    for (let at = 0; at + piece <= smallest.length && tries < MAX_SHRINKS; tries++) {
      const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + piece)])
      const judged = await judge(target, finish(new Uint8Array(shorter)))
      if (judged.message === null) at += piece
      else [message, smallest] = [judged.message, new Uint8Array(shorter)]
    }
  }
  return { message, input: toHex(finish(smallest)) }
}
