/** Numbers and names for people. */
import type { PublisherView } from '../protocol/api.ts'

const STEPS = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** Bytes in powers of 1000, three digits: `1.92 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let step = 0
  while (value >= 1000 && step < STEPS.length - 1) {
    value /= 1000
    step += 1
  }
  return `${step === 0 ? value : value.toPrecision(3)} ${STEPS[step]}`
}

/** Milliseconds: `85 ms`, `2.1 s`. */
export const formatMs = (ms: number): string =>
  ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`

export const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`

/** What this node calls a publisher, with the label that it gives itself; the id where none is known. */
export function formatPublisher({ petname, label, id }: PublisherView): string {
  if (petname === null) return label ?? id
  return label === null || label === petname ? petname : `${petname} (${label})`
}

/** The same for a column beside that of ids: `-` where no name is known. */
export const nameOf = (publisher: PublisherView): string =>
  publisher.petname === null && publisher.label === null ? '-' : formatPublisher(publisher)

/** The handle with its mark, or `-`: a claim that nobody confirmed must not look like a name. */
export const markHandle = ({
  handle,
  handleVerified,
}: Pick<PublisherView, 'handle' | 'handleVerified'>): string =>
  handle === null ? '-' : `${handle} (${handleVerified ? 'verified' : 'not verified'})`

/** The handle with its mark, and why its host did not confirm it. */
export function formatHandle(
  publisher: Pick<PublisherView, 'handle' | 'handleVerified' | 'handleProblem'>,
): string {
  const { handleProblem: problem } = publisher
  if (problem === null) return markHandle(publisher)
  const got = problem.got === undefined ? '' : `: ${problem.got}`
  return `${markHandle(publisher)}; last check: ${problem.message}${got}`
}

export const WITHDRAWN = { yank: 'yanked', recall: 'recalled', erase: 'erased' } as const
