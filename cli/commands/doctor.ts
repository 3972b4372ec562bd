/** `zoarium doctor`: what works, as peers see it too, and what to change. */
import type { DoctorView, FindingView } from '../../protocol/api.ts'
import { EXIT, ZoariumError } from '../../protocol/errors.ts'
import { type Cli, Ended, type Session } from '../session.ts'

const MARKS: Readonly<Record<FindingView['state'], string>> = {
  ok: 'ok  ',
  warn: 'WARN',
  fail: 'FAIL',
  skip: '-   ',
}

export function addDoctor({ program, session }: Cli): void {
  program
    .command('doctor')
    .description('what works, as other nodes see it too, and what to change')
    .action(async () => {
      const opened = session()
      const { view, isRunning } = await examine(opened)
      const { output } = opened
      output.result(view, () => {
        for (const { check, state, message, hint } of view.findings) {
          output.line(`${MARKS[state]}  ${check.padEnd(11)} ${message}`)
          if (hint !== undefined && state !== 'ok') output.line(`                  -> ${hint}`)
        }
      })
      if (!isRunning) throw new Ended(EXIT.unreachable)
      if (!view.isWell) throw new Ended(EXIT.failed)
    })
}

/** The daemon's own word, or that of its folder where it does not run. */
async function examine({ client, folder }: Session): Promise<{
  readonly view: DoctorView
  readonly isRunning: boolean
}> {
  try {
    return { view: await client.doctor(), isRunning: true }
  } catch (error) {
    if (!(error instanceof ZoariumError) || error.code !== 'UNREACHABLE') throw error
    const { examineFolder } = await import('../../daemon/doctor-offline.ts')
    return { view: await examineFolder(folder), isRunning: false }
  }
}
