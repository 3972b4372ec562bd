/**
 * A process that publishes until it is killed. For each publication that was acknowledged it
 * writes `ack <record id>`, and the code of one that failed as `error <code>`.
 *
 *     node publish-child.ts FOLDER FIRST COUNT [naive]
 *
 * `naive` is the negative control: it signs before the files are there, and dies in between.
 */
import fs from 'node:fs'
import process from 'node:process'
import { cidOf } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { folderCid } from '../../protocol/folder.ts'
import { LEAF_BYTES } from '../../protocol/limits.ts'
import { systemClock } from '../../registry/clock.ts'
import { dataFolder } from '../../registry/data-folder.ts'
import { Identities } from '../../registry/identities.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import { OwnLog } from '../../registry/own-log.ts'
import type { Package } from '../../registry/package.ts'
import type { PackageSource } from '../../registry/package-source.ts'
import type { Registry } from '../../registry/registry.ts'
import { describeModel, fileOf, utf8 } from '../helpers/publisher.ts'

const [, , path = '', first = '0', count = '1', mode = ''] = process.argv
const say = (text: string): void => void fs.writeSync(1, `${text}\n`)

/** A package whose files differ in every version but for one, which all share. */
function packageOf(version: number): { pkg: Package; source: PackageSource } {
  const card = utf8(`name: Crash test\nversion: ${version}\n`)
  const weights = new Uint8Array(LEAF_BYTES + 1000).fill(version)
  const contents = new Map([
    ['README.md', utf8('the same in all versions')],
    ['rdf.yaml', card],
    ['weights.onnx', weights],
  ])
  const roles = ['documentation', 'card', 'weights'] as const
  const files = [...contents].map(([name, bytes], n) =>
    fileOf(name, bytes, roles[n] ?? 'other', 'application/octet-stream'),
  )
  const description = { ...describeModel({ name: 'Crash test' }), version: `${version}` }
  const source: PackageSource = {
    files,
    links: new Set(),
    card: null,
    open: async (name) =>
      (async function* () {
        yield contents.get(name) ?? new Uint8Array()
      })(),
    close: async () => {},
  }
  const base = { cardPath: 'rdf.yaml', card, cardCid: cidOf('raw', card), description }
  return { pkg: { ...base, files, warnings: [] }, source }
}

async function publish(registry: Registry, version: number): Promise<void> {
  const { pkg, source } = packageOf(version)
  const plan = expectOk(registry.planPublication(pkg, { tested: 'untested' }))
  const { id } = await registry.publish(pkg, source, plan)
  say(`ack ${id}`)
}

/** The order that must not be: the record first, then its files. */
function publishNaively(registry: Registry, version: number): void {
  const { pkg } = packageOf(version)
  const { catalogue, signer } = registry
  const identities = new Identities(catalogue, () => registry.trust)
  const log = new OwnLog({ catalogue, identities, signer, clock: systemClock })
  const files = pkg.files.map((file) => ({ ...file, cid: (file as ReturnType<typeof fileOf>).cid }))
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
  log.append({ kind: 'model', body }, { card: pkg.card, description: pkg.description })
  process.kill(process.pid, 'SIGKILL')
}

const { registry, close } = await openRegistry(dataFolder(path), systemClock)
for (let n = 0; n < Number(count); n += 1) {
  try {
    if (mode === 'naive') publishNaively(registry, Number(first) + n)
    else await publish(registry, Number(first) + n)
  } catch (error) {
    say(`error ${(error as { code?: string }).code}`)
    break
  }
}
await close()
