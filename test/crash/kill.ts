/** How a process is killed, drawn from a seed. */
import type { Random } from '../simulator/random.ts'

/** The named places of the program through which the commands of command.ts lead. */
export const FAILPOINTS = [
  'blob.before-sync',
  'blob.before-rename',
  'blob.after-rename',
  'publish.after-file',
  'sign.before-ledger',
  'sign.before-row',
  'sign.after-row',
  'sign.after-ledger',
  'head.before-row',
  'head.after-row',
  'share.before-ledger',
  'share.after-ledger',
  'admit.before-commit',
  'admit.after-commit',
  'download.after-leaf',
  'download.after-end',
  'import.after-files',
  'erase.after-mark',
  'erase.after-unlink',
  'erase.after-row',
  'gc.after-mark',
  'keys.before-identity',
  'keys.after-identity',
  'keys.after-catalogue',
] as const

export type Kill =
  | { readonly at: 'failpoint'; readonly name: (typeof FAILPOINTS)[number]; readonly pass: number }
  /** At a call to the file system or a write to SQLite, see kill-switch.ts. */
  | { readonly at: 'call'; readonly count: number; readonly moment: 'before' | 'after' | 'torn' }
  /** From outside, milliseconds after it was ready. */
  | { readonly at: 'time'; readonly ms: number }

/** A publication with its restart makes some hundred of them. */
const MAX_CALL = 600
const MAX_MS = 120

/** A place is passed seldom more often than that by one process. */
const MAX_PASS = 3

/** @param isFirst whether the folder is new: some places are passed in it once */
export function drawKill(random: Random, isFirst: boolean): Kill {
  if (isFirst) {
    const once = FAILPOINTS.filter((name) => name.startsWith('share.'))
    return { at: 'failpoint', name: random.pick(once), pass: 1 }
  }
  switch (random.weighted({ failpoint: 35, call: 45, time: 20 })) {
    case 'failpoint':
      return {
        at: 'failpoint',
        name: random.pick(FAILPOINTS),
        pass: Math.ceil(MAX_PASS * random.float() ** 2) || 1,
      }
    case 'call':
      return {
        at: 'call',
        // As many early ones as late ones: the start of a node has calls of its own.
        count: Math.ceil(MAX_CALL ** random.float()),
        moment: random.pick(['before', 'after', 'torn'] as const),
      }
    case 'time':
      return { at: 'time', ms: random.int(0, MAX_MS) }
  }
}

/** The variables by which a process is told how it dies. */
export function environmentOf(kill: Kill): NodeJS.ProcessEnv {
  if (kill.at === 'failpoint') return { ZOARIUM_FAILPOINT: `${kill.name}:${kill.pass}` }
  if (kill.at === 'call') return { ZOARIUM_KILL_AT: `${kill.count}:${kill.moment}` }
  return {}
}

/** Under what it is counted. */
export const nameOf = (kill: Kill): string =>
  kill.at === 'failpoint' ? kill.name : kill.at === 'call' ? `a call, ${kill.moment}` : 'any time'
