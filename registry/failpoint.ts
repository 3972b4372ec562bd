/**
 * Places where a crash test may kill the process: `ZOARIUM_FAILPOINT=publish.after-row:3` kills at
 * the third pass of that place. Without the variable a call costs one comparison.
 */
import process from 'node:process'

const [wanted, count = '1'] = (process.env.ZOARIUM_FAILPOINT ?? '').split(':')
let passesLeft = Number(count)

/** Dies here as by `kill -9`, if a test asked for it. */
export function failpoint(name: string): void {
  if (name !== wanted) return
  passesLeft -= 1
  if (passesLeft === 0) process.kill(process.pid, 'SIGKILL')
}
