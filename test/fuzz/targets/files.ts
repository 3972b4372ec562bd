/** Files of the operator and documents of hosts: trust.yaml, config.yaml, handles. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { readConfig } from '../../../daemon/config.ts'
import { type Cid, cidOf } from '../../../protocol/cid.ts'
import { handleDocument, readHandleDocument } from '../../../protocol/handle.ts'
import { parseTrust } from '../../../registry/trust-reading.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, type Outcome, settle, type Target, verdictOf } from '../fuzzer.ts'
import { cidFault } from '../rules/text.ts'
import { mutateText } from '../text-mutants.ts'

const ids: readonly Cid[] = ['a', 'b', 'c', 'd'].map((each) => cidOf('dag-cbor', Buffer.from(each)))
const [own, listed, stranger, issuer] = ids as [Cid, Cid, Cid, Cid]

function textTarget(
  name: string,
  share: number,
  samples: readonly string[],
  judge: (bytes: Uint8Array) => Outcome,
): Target {
  return {
    name,
    share,
    mutant: (random) => {
      const bytes = new Uint8Array(Buffer.from(mutateText(random.pick(samples), random)))
      const raw = random.once(3) ? mutateBytes(bytes, random) : bytes
      return { raw, finish: (each) => each, isSigned: false }
    },
    judge,
  }
}

const TRUST = `version: 1
rules:
  - publisher: ${listed}
    right: run
    petname: embl
    send: true
rosters:
  - publisher: ${issuer}
    name: imaging
    right: mirror
    members: [${listed}]
run:
  - {attested: 1, of: [embl, ${issuer}], publishers: [embl]}
`
const CONFIG = `http: {listen: ['127.0.0.1:7070'], hosts: [a.example], behindProxy: false}
network:
  listen: [/ip4/0.0.0.0/tcp/7071]
  mdns: true
mirror: {follow: true, maxBytes: 1000}
inference: {acceptRemote: false, residency: ['country:DE']}
web: {allowPrivate: [zoo.example.org]}
logLevel: info
`

/** A folder of its own while the process lives. */
function makeFolder(): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'zoarium-fuzz-'))
  process.on('exit', () => fs.rmSync(made, { recursive: true, force: true }))
  return made
}
let folder: string | null = null

export const fileTargets: readonly Target[] = [
  textTarget('trust-file', 15, [TRUST, 'version: 1\nrules: []\n'], (bytes) => {
    const text = Buffer.from(bytes).toString('utf8')
    const verdict = parseTrust(text, own)
    if (verdict.ok) {
      const { value: policy } = verdict
      // Nobody has a right whose id the operator has not written.
      if (policy.right(stranger) !== 'see') throw new Breach('a stranger has rights')
      if (policy.right(own) !== 'run') throw new Breach('the own publisher lost its rights')
      if (policy.right(listed) !== 'see' && !text.includes(listed))
        throw new Breach('rights of nobody')
    }
    return settle(verdict)
  }),
  textTarget('config-file', 10, [CONFIG, ''], (bytes) => {
    folder ??= makeFolder()
    const file = path.join(folder, 'config.yaml')
    fs.writeFileSync(file, bytes)
    const verdict = verdictOf(() => readConfig(file, { folder: '/data' }))
    if (verdict.ok) {
      const { http, mirror, inference, web } = verdict.value
      const isText = (list: readonly unknown[]): boolean =>
        list.every((each) => typeof each === 'string')
      const isSound =
        [http.listen, http.hosts, inference.residency, web.allowPrivate].every(isText) &&
        Number.isSafeInteger(mirror.maxBytes) &&
        mirror.maxBytes >= 0 &&
        typeof http.behindProxy === 'boolean' &&
        typeof inference.acceptRemote === 'boolean'
      if (!isSound) throw new Breach('a configuration of other types')
    }
    return settle(verdict)
  }),
  textTarget('handle-document', 15, [JSON.stringify(handleDocument(listed))], (bytes) => {
    const verdict = readHandleDocument(bytes)
    return settle(verdict, () => {
      let document: unknown
      try {
        document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
      } catch {
        return 'not JSON'
      }
      if (typeof document !== 'object' || document === null || Array.isArray(document))
        return 'no map'
      const { version, publisher } = document as Record<string, unknown>
      if (version !== 1 || typeof publisher !== 'string') return 'fields'
      return cidFault(publisher) ?? (publisher.startsWith('bafyrei') ? null : 'the id of a file')
    })
  }),
]
