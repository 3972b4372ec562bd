/** The command line: argv in, exit status out. */
import { Command, CommanderError } from 'commander'
import { CODES, EXIT, ZoariumError } from '../protocol/errors.ts'
import { VERSION } from '../protocol/version.ts'
import { addAttest } from './commands/attest.ts'
import { addBackup } from './commands/backup.ts'
import { addDaemon } from './commands/daemon.ts'
import { addDemo } from './commands/demo.ts'
import { addDoctor } from './commands/doctor.ts'
import { addExport } from './commands/export.ts'
import { addFsck } from './commands/fsck.ts'
import { addGc } from './commands/gc.ts'
import { addImport } from './commands/import.ts'
import { addInit } from './commands/init.ts'
import { addJoin } from './commands/join.ts'
import { addKeys } from './commands/keys.ts'
import { addLeave } from './commands/leave.ts'
import { addPeers } from './commands/peers.ts'
import { addPin } from './commands/pin.ts'
import { addProfile } from './commands/profile.ts'
import { addPublish } from './commands/publish.ts'
import { addPull } from './commands/pull.ts'
import { addRoster } from './commands/roster.ts'
import { addRun } from './commands/run.ts'
import { addSearch } from './commands/search.ts'
import { addShow } from './commands/show.ts'
import { addStart } from './commands/start.ts'
import { addStatus } from './commands/status.ts'
import { addSync } from './commands/sync.ts'
import { addTag } from './commands/tag.ts'
import { addTokens } from './commands/tokens.ts'
import { addTrust } from './commands/trust.ts'
import { addUnpin } from './commands/unpin.ts'
import { addVerify } from './commands/verify.ts'
import { addWithdraw } from './commands/withdraw.ts'
import { Output } from './output.ts'
import { type Cli, Ended, type Io, openSession } from './session.ts'
import { NotVerified } from './verification.ts'

const COMMANDS = [
  addInit,
  addDaemon,
  addStart,
  addPublish,
  addAttest,
  addWithdraw,
  addTag,
  addSearch,
  addShow,
  addPull,
  addPin,
  addUnpin,
  addVerify,
  addExport,
  addImport,
  addRun,
  addJoin,
  addLeave,
  addRoster,
  addPeers,
  addSync,
  addStatus,
  addDoctor,
  addProfile,
  addTrust,
  addTokens,
  addKeys,
  addBackup,
  addFsck,
  addGc,
  addDemo,
]

/**
 * Runs one command.
 * @param argv the words after `zoarium`
 * @returns the exit status, one of {@link EXIT}
 */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  const program = createProgram(io)
  // As an option of the program it would take `publish --version 1.0.0` for itself.
  const words = argv[0] === '--version' ? ['-V'] : [...argv]
  try {
    await program.parseAsync(words, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    }
    if (error instanceof Ended) return error.status
    const isJson = program.opts<{ json?: boolean }>().json === true
    const cause = error instanceof NotVerified ? error.cause : error
    new Output(io.stdout, io.stderr, isJson).error(cause)
    if (error instanceof NotVerified) return EXIT.unverified
    return cause instanceof ZoariumError ? CODES[cause.code].exit : EXIT.failed
  }
}

function createProgram(io: Io): Command {
  const program = new Command('zoarium')
    .description('A federated model zoo for the life sciences: publish, replicate, search and run.')
    .version(VERSION, '-V', 'print the version (also --version)')
    .option('--json', 'print one JSON document on stdout')
    .option(
      '--url <url>',
      'the daemon to talk to (default: ZOARIUM_URL, else http://127.0.0.1:7070)',
    )
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
    })
    .showSuggestionAfterError()
  const cli: Cli = { program, session: () => openSession(io, program.opts()) }
  for (const add of COMMANDS) add(cli)
  program.addHelpText(
    'after',
    `
Environment:
  ZOARIUM_DIR    data folder, default ~/.local/share/zoarium
  ZOARIUM_URL    the daemon, default http://127.0.0.1:7070
  ZOARIUM_TOKEN  token for a daemon on another machine
  ZOARIUM_PASSPHRASE_FILE  file with the passphrase of sealed keys; without it you are asked
  ZOARIUM_KEY_FILE         key file of keys that are sealed under one

Exit status: 0 ok, 1 failed, 2 usage, 3 not found, 4 invalid input, 5 refused by policy,
6 unreachable or busy, 7 verification failed`,
  )
  return program
}
