/**
 * Proves a model version on this machine: the daemon only hands over bytes, and is believed in
 * nothing. docs/protocol.md says what each step rests on.
 */
import type { Cid } from '../protocol/cid.ts'
import { findDevice } from '../protocol/delegation.ts'
import { accept, refuse, type Verdict, ZoariumError } from '../protocol/errors.ts'
import { readIdentity } from '../protocol/identity.ts'
import { type LogRecord, type ModelBody, readRecord } from '../protocol/record.ts'
import type { Client } from './client.ts'
import { createFileCheck } from './file-check.ts'
import { formatBytes } from './format.ts'
import { startProgress } from './progress.ts'
import type { Session } from './session.ts'

/** What was to be proven is not so; the cause says what. */
export class NotVerified extends Error {
  override readonly cause: ZoariumError

  constructor(cause: ZoariumError) {
    super(cause.message)
    this.cause = cause
  }
}

export interface Proof {
  readonly what: 'record' | 'signature' | 'identity' | 'delegation' | 'files' | 'root'
  readonly detail: string
}

export interface Verification {
  readonly record: Cid
  readonly publisher: Cid
  readonly proven: readonly Proof[]
}

/** @throws NotVerified where something does not fit, ZoariumError where the bytes are not to be had */
export async function verifyModel(session: Session, record: Cid): Promise<Verification> {
  const { client } = session
  const signed = proven(readRecord(await client.envelope(record)))
  proven(equal('record', signed.id, record))
  const { publisher, key, kind, body } = signed.record
  if (kind !== 'model') {
    throw new ZoariumError('REF', 'that record is no model', { got: kind })
  }
  const operations = await verifyIdentity(client, signed.record)
  const bytes = await verifyFiles(session, record, body)
  return {
    record,
    publisher,
    proven: [
      { what: 'record', detail: `its content id is the hash of the signed bytes: ${record}` },
      { what: 'signature', detail: `valid, by the device key ${key}` },
      { what: 'identity', detail: `${operations} operations lead to the publisher ${publisher}` },
      { what: 'delegation', detail: 'the publisher let that key sign models at that time' },
      {
        what: 'files',
        detail: `${body.files.length} files, ${formatBytes(bytes)}: size, content id and SHA-256 fit`,
      },
      // readRecord computed the folder from the files and refused any other root.
      { what: 'root', detail: `the folder of these files is ${body.root}` },
    ],
  }
}

/** @returns the number of identity operations */
async function verifyIdentity(client: Client, record: LogRecord): Promise<number> {
  const view = await client.identity(record.publisher)
  const operations = view.operations.map((operation) => Buffer.from(operation, 'base64'))
  const identity = proven(readIdentity(operations))
  proven(equal('publisher', identity.publisher, record.publisher))
  proven(findDevice(identity, record))
  return identity.length
}

/** @returns bytes of all files */
async function verifyFiles(session: Session, record: Cid, body: ModelBody): Promise<number> {
  const total = body.files.reduce((sum, file) => sum + file.size, 0)
  const progress = startProgress(session.output, 'verifying', total)
  try {
    for (const file of body.files) {
      const check = createFileCheck(file)
      for await (const chunk of await session.client.file(record, file.path)) {
        check.update(chunk)
        progress.add(chunk.length)
      }
      proven(check.finish())
    }
  } finally {
    progress.stop()
  }
  return total
}

const equal = (field: string, got: Cid, limit: Cid): Verdict<Cid> =>
  got === limit
    ? accept(got)
    : refuse('CONTENT_MISMATCH', 'the daemon sent something else', { field, limit, got })

function proven<T>(verdict: Verdict<T>): T {
  if (!verdict.ok) throw new NotVerified(ZoariumError.of(verdict))
  return verdict.value
}
