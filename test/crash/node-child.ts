/**
 * The process that is killed: a registry in a data folder, real files and SQLite, which does what
 * stdin says. `node node-child.ts FOLDER [ORDER]`
 *
 * ORDER is a wrong one, for negative controls: `acknowledge-first` answers before the work is done,
 * `send-first` lets a record go before it is kept, `row-first` signs a record before its files are
 * there. The program itself has no such switch.
 */
import fs from 'node:fs'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { cidOf } from '../../protocol/cid.ts'
import { createTreeHasher } from '../../protocol/content-tree.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { folderCid } from '../../protocol/folder.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { nextPlace } from '../../protocol/log.ts'
import {
  type ModelFile,
  type RecordBody,
  type SignedRecord,
  signRecord,
} from '../../protocol/record.ts'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { importModels } from '../../registry/model-import.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import { OwnKeys } from '../../registry/own-keys.ts'
import type { Package } from '../../registry/package.ts'
import type { PackageSource } from '../../registry/package-source.ts'
import { describeModel, fileOf, utf8 } from '../helpers/publisher.ts'
import { type Answer, bytesOf, type Command, fromBase64, type Told, toBase64 } from './command.ts'

const [, , path = '', order = ''] = process.argv
const HOUR_MS = 3600 * 1000

let hoursAhead = 0
const clock = { now: () => systemClock.now() + hoursAhead * HOUR_MS }
const say = (answer: Answer): void => void fs.writeSync(1, `${JSON.stringify(answer)}\n`)

const opened = await openRegistry(dataFolder(path), clock)
const { registry } = opened
const keys = (): OwnKeys => new OwnKeys(opened, clock)

// As daemon/net/archive.ts: a log counts as shared before anything of it goes.
registry.on('record', ({ envelope, record }) => {
  if (record.publisher !== registry.publisher) return
  registry.signer.share(record.key)
  say({ sent: 'record', envelope: toBase64(envelope) })
})
registry.on('head', ({ publisher, key, envelope }) => {
  if (publisher !== registry.publisher) return
  registry.signer.share(key)
  say({ sent: 'head', envelope: toBase64(envelope) })
})

/** A package whose files differ in every version but for one, which all share. */
function packageOf(version: number, bytes: number): { pkg: Package; source: PackageSource } {
  const card = utf8(`name: Crash test\nversion: ${version}\n`)
  const contents = new Map([
    ['README.md', utf8('the same in all versions')],
    ['rdf.yaml', card],
    ['weights.onnx', bytesOf(version, bytes)],
  ])
  const roles = ['documentation', 'card', 'weights'] as const
  const files = [...contents].map(([name, content], n) =>
    fileOf(name, content, roles[n] ?? 'other', 'application/octet-stream'),
  )
  const source: PackageSource = {
    files,
    links: new Set(),
    card: null,
    open: async (name) => one(contents.get(name) ?? new Uint8Array()),
    close: async () => {},
  }
  const description = { ...describeModel({ name: 'Crash test' }), version: `${version}` }
  const base = { cardPath: 'rdf.yaml', card, cardCid: cidOf('raw', card), description }
  return { pkg: { ...base, files, warnings: [] }, source }
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** As daemon/net/transfer.ts, without the network. */
async function fetchFile(seed: number, length: number): Promise<Told> {
  const bytes = bytesOf(seed, length)
  const hasher = createTreeHasher()
  const leaves: Uint8Array[] = []
  for (let at = 0; at < length; at += LEAF_BYTES) leaves.push(bytes.subarray(at, at + LEAF_BYTES))
  for (const leaf of leaves) hasher.leaf(leaf)
  const { cid, size, sha256: whole, nodes } = hasher.finish()
  if (registry.blobs.stat(cid) !== null) return { files: [cid] }
  const download = await registry.blobs.download(cid, size, leaves.map(sha256))
  try {
    for (const index of [...download.missing()].reverse()) {
      await download.write(index, leaves[index] ?? new Uint8Array())
    }
    registry.keepTree(cid, nodes)
    await download.finish(whole)
  } finally {
    await download.close()
  }
  registry.blobKept(cid, size)
  return { files: [cid] }
}

const signed = ({ envelope }: SignedRecord): Told => ({ envelope: toBase64(envelope) })

async function work(command: Command): Promise<Told> {
  switch (command.do) {
    case 'publish': {
      const { pkg, source } = packageOf(command.version, command.bytes)
      const plan = expectOk(registry.planPublication(pkg, { tested: 'untested' }))
      return signed(await registry.publish(pkg, source, plan))
    }
    case 'withdraw': {
      const { target, verb } = command
      const how = { verb, reason: 'wrong-output', note: '' } as const
      return signed(registry.withdraw(modelOf(target), how))
    }
    case 'tag':
      return signed(registry.tag(modelOf(command.target), command.tag))
    case 'attest':
      return signed(registry.attest(modelOf(command.target), 'reproduced'))
    case 'admit': {
      const records = command.records.map(({ envelope, card }) => ({
        envelope: fromBase64(envelope),
        card: card === null ? null : fromBase64(card),
      }))
      for (const verdict of registry.admitRecords(records)) expectOk(verdict)
      if (command.head !== null) expectOk(registry.admitHead(fromBase64(command.head)))
      return { count: records.length }
    }
    case 'fetch':
      return fetchFile(command.seed, command.bytes)
    case 'stray': {
      const { cid } = await registry.blobs.put(
        one(bytesOf(command.seed, command.bytes)),
        command.bytes,
      )
      return { files: [cid] }
    }
    case 'erase':
      return { count: (await registry.eraseHere(modelOf(command.record))).count }
    case 'restore':
      registry.restoreHere(modelOf(command.record))
      return {}
    case 'collect':
      hoursAhead = command.hours
      try {
        return { count: (await registry.collect()).count }
      } finally {
        hoursAhead = 0
      }
    case 'gc':
      return { count: (await registry.collectAll(0)).count }
    case 'keys': {
      const own = keys()
      if (command.work === 'renew') own.renew(own.renewable('publish').map(({ key }) => key))
      if (command.work === 'rotate') own.rotate()
      if (command.work === 'erase') own.delegate('erase')
      return { operations: own.overview().identity.length }
    }
    case 'import':
      return {
        count: (await importModels(registry, fs.createReadStream(command.file))).models.length,
      }
    case 'trust':
      registry.setTrust({ publisher: command.publisher, right: command.right })
      return {}
    case 'confirm': {
      const records = command.records.map((each) => ({ envelope: fromBase64(each), card: null }))
      const verdicts = registry.admitRecords(records).map(expectOk)
      registry.signer.confirm(registry.signer.keys())
      return { count: verdicts.filter(({ status }) => status === 'admitted').length }
    }
  }
}

const modelOf = (record: Parameters<typeof registry.catalogue.model>[0]) =>
  registry.catalogue.model(record) ?? expectOk(registry.resolve(record))

/** Signs the next record without keeping anything. */
function signNaively(statement: RecordBody): SignedRecord {
  const { publisher, catalogue, signer } = registry
  const { key, seed } = signer.device('publish')
  const place = nextPlace(catalogue.log(publisher, key), [])
  const idv = registry.identity(publisher)?.length ?? 0
  return signRecord({ publisher, key, ...place, idv, ts: clock.now(), ...statement }, seed)
}

/** Sends a record before it is kept, and dies in between. */
function sendFirst(version: number): never {
  const displayName = `Version ${version}`
  const body = { label: 'l', displayName, handle: null, url: null, ror: null, replaces: [] }
  const { envelope } = signNaively({ kind: 'profile', body })
  say({ sent: 'record', envelope: toBase64(envelope) })
  return die()
}

/** Keeps a record before its files are there, and dies in between. */
function rowFirst(version: number, bytes: number): never {
  const { pkg } = packageOf(version, bytes)
  const files = hashedFiles(pkg)
  const body = {
    name: 'naive',
    version: `${version}`,
    card: cidOf('raw', pkg.card),
    files,
    root: expectOk(folderCid(files)),
    parents: [],
    origin: null,
    aliases: [],
    tested: 'untested',
  } as const
  const index = { card: pkg.card, description: pkg.description }
  registry.catalogue.appendRecord(signNaively({ kind: 'model', body }), index)
  return die()
}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  throw new TypeError('it is dead')
}

async function run(command: Command): Promise<void> {
  try {
    if (command.do === 'publish' && order === 'send-first') sendFirst(command.version)
    if (command.do === 'publish' && order === 'row-first') rowFirst(command.version, command.bytes)
    if (order === 'acknowledge-first') {
      say({ ack: command.n, told: command.do === 'publish' ? early(command) : {} })
    }
    const told = await work(command)
    if (order !== 'acknowledge-first') say({ ack: command.n, told })
  } catch (error) {
    if (!(error instanceof ZoariumError)) throw error
    say({ failed: command.n, code: error.code, message: error.message })
  }
}

/** The files that a publication will have brought. */
const early = ({ version, bytes }: Command & { readonly do: 'publish' }): Told => ({
  files: hashedFiles(packageOf(version, bytes).pkg).map(({ cid }) => cid),
})

/** SAFE: packageOf has hashed them. */
const hashedFiles = ({ files }: Package): readonly ModelFile[] => files as readonly ModelFile[]

say({ ready: true })
for await (const line of createInterface({ input: process.stdin })) {
  // Not awaited: the outside decides what runs beside what.
  void run(JSON.parse(line) as Command)
}
await opened.close()
