/**
 * What opens sealed keys, for the commands that open the data folder: a passphrase, from a file or
 * from the person at the terminal, or a key file.
 */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { ZoariumError } from '../protocol/errors.ts'
import type { SealKind, SealSecret } from '../registry/seal.ts'
import { readKeyFile, readPassphraseFile } from '../registry/secret-file.ts'
import type { Io } from './session.ts'

const HINT = 'name a file that has it in ZOARIUM_PASSPHRASE_FILE, or run this in a terminal'

/** @throws ZoariumError KEY_SEALED where it is nowhere to be had or unfit, CANCELLED */
export async function readSecret(io: Io, by: SealKind): Promise<SealSecret> {
  if (by === 'passphrase') {
    return readPassphrase(io, () => askFor(io, 'Passphrase of the private keys: '))
  }
  const file = io.env.ZOARIUM_KEY_FILE
  if (file) return readKeyFile(file)
  throw new ZoariumError('KEY_SEALED', 'the private keys are sealed under a key file', {
    hint: 'name it in ZOARIUM_KEY_FILE',
  })
}

/**
 * A passphrase to seal keys with; a person types it twice.
 * @throws ZoariumError KEY_SEALED also where the two differ, CANCELLED
 */
export const readNewPassphrase = (io: Io): Promise<SealSecret> =>
  readPassphrase(io, async () => {
    const first = await askFor(io, 'New passphrase: ')
    if (first === (await askFor(io, 'Once more: '))) return first
    throw new ZoariumError('KEY_SEALED', 'the two passphrases differ')
  })

async function readPassphrase({ env }: Io, ask: () => Promise<string>): Promise<SealSecret> {
  const file = env.ZOARIUM_PASSPHRASE_FILE
  return file ? readPassphraseFile(file) : { by: 'passphrase', text: await ask() }
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
