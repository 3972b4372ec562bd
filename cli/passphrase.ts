/** The passphrase of sealed keys: from a file, or from the person at the terminal. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { ZoariumError } from '../protocol/errors.ts'
import type { Io } from './session.ts'

const HINT = 'name a file that has it in ZOARIUM_PASSPHRASE_FILE, or run this in a terminal'

/** @throws ZoariumError KEY_SEALED where there is neither a file nor a person, CANCELLED */
export async function readPassphrase(io: Io): Promise<string> {
  const file = io.env.ZOARIUM_PASSPHRASE_FILE
  return file ? readPassphraseFile(file) : askFor(io, 'Passphrase of the private keys: ')
}

/**
 * A passphrase to seal keys with; a person types it twice.
 * @throws ZoariumError KEY_SEALED also where the two differ, CANCELLED
 */
export async function readNewPassphrase(io: Io): Promise<string> {
  const file = io.env.ZOARIUM_PASSPHRASE_FILE
  if (file) return readPassphraseFile(file)
  const first = await askFor(io, 'New passphrase: ')
  if (first === (await askFor(io, 'Once more: '))) return first
  throw new ZoariumError('KEY_SEALED', 'the two passphrases differ')
}

/** A file's text without the line's end that editors add. */
function readPassphraseFile(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    const message = `couldn't read the passphrase file: ${code}`
    throw new ZoariumError('KEY_SEALED', message, { field: file }, error)
  }
}

/** Asks on stderr and shows nothing of the answer. */
async function askFor({ stdin, stderr }: Io, question: string): Promise<string> {
  if (stdin === null) {
    throw new ZoariumError('KEY_SEALED', 'a passphrase is needed', { hint: HINT })
  }
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: stdin, output: silent, terminal: true })
  const cancelled = new AbortController()
  lines.on('SIGINT', () => cancelled.abort())
  lines.on('close', () => cancelled.abort())
  stderr.write(question)
  try {
    return await lines.question('', { signal: cancelled.signal })
  } catch (error) {
    throw new ZoariumError('CANCELLED', 'no passphrase was given', {}, error)
  } finally {
    lines.close()
    stderr.write('\n')
  }
}
