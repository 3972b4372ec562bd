/**
 * What all steps of a pull share: what it wants done, what came of it, and how it is broken off.
 * docs/protocol.md, "Sync".
 */
import type { Cid } from './cid.ts'
import { type Code, type Failure, refuse, type Verdict } from './errors.ts'
import { expectReply, readFailure } from './message.ts'
import type { SyncReply, SyncRequest } from './sync-message.ts'
import type { PlainRecord } from './sync-source.ts'

/** Questions of one pull; what is left over comes next time. A million records need 2,000. */
export const MAX_ROUNDS = 10_000
/** Records that are admitted, and made durable, together, and cards among them: 40 ms of the event loop. */
export const BATCH_RECORDS = 128
export const BATCH_CARDS = 16

export type Question = Exclude<SyncRequest, { readonly t: 'done' }>

/** Something that a pull wants done. The result goes into `next()`. */
export type SyncEffect =
  | { readonly do: 'ask'; readonly request: Question }
  /** Asks without waiting; has no result. The answer is the next that is received. */
  | { readonly do: 'send'; readonly request: Question }
  | { readonly do: 'receive' }
  /** Has no result. */
  | { readonly do: 'tell'; readonly request: Extract<SyncRequest, { readonly t: 'done' }> }
  | {
      readonly do: 'admit-identity'
      readonly publisher: Cid
      readonly operations: readonly Uint8Array[]
      readonly from: number
    }
  /** At most {@link BATCH_RECORDS}, of one log or several, each in order; then others may have a turn. */
  | { readonly do: 'admit-records'; readonly records: readonly PlainRecord[] }
  | { readonly do: 'admit-head'; readonly envelope: Uint8Array }
  | { readonly do: 'admit-proof'; readonly first: Uint8Array; readonly second: Uint8Array }
  | { readonly do: 'admit-profile'; readonly envelope: Uint8Array }
  /** `base` is null where the one that is changed is here, or none is. */
  | {
      readonly do: 'admit-holdings'
      readonly current: Uint8Array
      readonly base: Uint8Array | null
    }

/** A reply to `ask` and `receive`, verdicts of `admit-records` one by one, a verdict of anything else. */
export type SyncInput = SyncReply | Verdict<unknown> | readonly Verdict<unknown>[] | undefined

/** Something that was offered and not taken in. */
export interface SyncRefusal {
  readonly publisher: Cid
  readonly code: Code
  readonly message: string
}

export interface SyncOutcome {
  /** Questions asked, `open` included. */
  rounds: number
  /** Records that are new here. */
  records: number
  /** Nothing differed. */
  equal: boolean
  /** The other node lacks something that is here. */
  behind: boolean
  /** A bound was met; pull again. */
  more: boolean
  readonly refused: SyncRefusal[]
  /** What ended the pull before its time: an error reply or a broken rule. */
  failure: Failure | null
}

export type SyncPull = Generator<SyncEffect, SyncOutcome, SyncInput>
export type Step<T> = Generator<SyncEffect, T, SyncInput>
type Reply<T extends SyncReply['t']> = Extract<SyncReply, { readonly t: T }>

/** Leaves a pull from any depth; never leaves {@link settle}. */
export class Broken extends Error {
  readonly failure: Failure
  constructor(failure: Failure) {
    super(failure.message)
    this.failure = failure
  }
}

/** The other side broke a rule that no honest node breaks. */
export const broken = (message: string): Broken => new Broken(refuse('RECORD_INVALID', message))

export const newOutcome = (): SyncOutcome => ({
  rounds: 0,
  records: 0,
  equal: false,
  behind: false,
  more: false,
  refused: [],
  failure: null,
})

/** Whether another question may be asked; where not, the pull says that there is more. */
export function mayAsk(outcome: SyncOutcome): boolean {
  if (outcome.rounds < MAX_ROUNDS) return true
  outcome.more = true
  return false
}

export function* ask<T extends SyncReply['t']>(
  outcome: SyncOutcome,
  request: Question,
  type: T,
): Step<Reply<T>> {
  outcome.rounds++
  // SAFE: the driver answers `ask` with a reply.
  return expected((yield { do: 'ask', request }) as SyncReply, type)
}

/** Asks ahead: the answer is {@link receive}d later, before anything else is asked. */
export function* send(outcome: SyncOutcome, request: Question): Step<void> {
  outcome.rounds++
  yield { do: 'send', request }
}

export function* receive<T extends SyncReply['t']>(type: T): Step<Reply<T>> {
  // SAFE: the driver answers `receive` with a reply.
  return expected((yield { do: 'receive' }) as SyncReply, type)
}

function expected<T extends SyncReply['t']>(reply: SyncReply, type: T): Reply<T> {
  if (reply.t === 'error') throw new Broken(readFailure(reply))
  const verdict = expectReply<SyncReply, T>(reply, type)
  if (!verdict.ok) throw new Broken(verdict)
  return verdict.value
}

/** Runs the steps of a pull and turns what broke it into the outcome's failure. */
export function* settle(outcome: SyncOutcome, steps: Step<void>): SyncPull {
  try {
    yield* steps
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    outcome.failure = error.failure
  }
  return outcome
}

/** @returns whether it was taken in; where not, the outcome says why */
export function* admit(
  outcome: SyncOutcome,
  publisher: Cid,
  effect: Extract<
    SyncEffect,
    {
      readonly do:
        | 'admit-identity'
        | 'admit-head'
        | 'admit-proof'
        | 'admit-profile'
        | 'admit-holdings'
    }
  >,
): Step<boolean> {
  // SAFE: the driver answers these with a verdict.
  const verdict = (yield effect) as Verdict<unknown>
  if (!verdict.ok) {
    outcome.refused.push({ publisher, code: verdict.code, message: verdict.message })
  }
  return verdict.ok
}
