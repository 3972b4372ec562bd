/** A machine that fails a daemon: killed in the middle of work, and a full disk. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cp, readdir, readFile, rm, statfs, watch, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { initNode, type NodeProcess } from '../../cli/colony.ts'
import type { CollectedView, ErrorBody, PublishView } from '../../protocol/api.ts'
import { exampleFiles, writeFiles, zipOf } from '../helpers/package.ts'
import { Colony, clientOf, zoarium, zoariumJson } from './colony.ts'
import { keptBy, refused, runHere } from './kept.ts'

describe('e2e/failing-machine', () => {
  const colony = new Colony()
  after(() => colony.stop())

  const filesWith = (name: string, version = '1.0.0', extra?: Uint8Array) =>
    exampleFiles({
      name,
      version,
      ...(extra && {
        files: { 'extra.bin': extra },
        card: (card) => (card.attachments = [{ source: 'extra.bin' }]),
      }),
    })
  async function packageWith(...what: Parameters<typeof filesWith>): Promise<string> {
    const folder = await colony.folder()
    await writeFiles(folder, filesWith(...what))
    return folder
  }

  describe('a daemon that is killed while it publishes', () => {
    let folder: string
    let node: NodeProcess
    before(async () => {
      node = await colony.node('Institute')
      folder = node.folder
      await zoariumJson(node, 'publish', await packageWith('The first'))
      await node.stop()
    })

    /** Place where it dies -> whether the record is there after the next start. */
    const PLACES = {
      'blob.before-rename': false,
      'publish.after-file': false,
      'sign.before-row': false,
      'sign.after-row': true,
    }
    for (const [i, [place, isThere]] of Object.entries(PLACES).entries()) {
      it(`has the whole of it or nothing: ${place}`, async () => {
        const version = `2.${i}.0`
        const path = await packageWith('The second', version)
        const env = { ZOARIUM_FAILPOINT: place }
        node = await colony.start(folder, [], [], { env })
        const before = await keptBy(node)
        const { code, stderr } = await zoarium(node, 'publish', path)
        assert.equal(code, 6)
        assert.match(stderr, /UNREACHABLE/)

        node = await colony.start(folder)
        const after = await keptBy(node)
        if (isThere) {
          assert.equal(after.counts.models, before.counts.models + 1)
          assert.equal((await refused(node, 'publish', path)).code, 'VERSION_EXISTS')
          assert.equal((await zoarium(node, 'verify', `institute/the-second@${version}`)).code, 0)
        } else {
          // Started before by the same folder, so all but the head's age is the same.
          assert.deepEqual(after, before)
          const { record } = await zoariumJson<PublishView>(node, 'publish', path)
          assert.ok(record)
        }
        assert.ok((await keptBy(node)).logs.every(({ state }) => state === 'OK'))
        await node.stop()
      })
    }

    it('drops an upload that was under way', async () => {
      node = await colony.start(folder)
      const before = await keptBy(node)
      const token = (await readFile(join(folder, 'token'), 'utf8')).trim()
      const spool = join(folder, 'spool')
      const changes = watch(spool, { signal: AbortSignal.timeout(10_000) })
      const headers = {
        'Content-Type': 'application/zip',
        'Content-Length': 1_000_000,
        Authorization: `Bearer ${token}`,
      }
      const sending = request(new URL('/v1/publish', node.url), { method: 'POST', headers })
      sending.once('error', () => {})
      sending.write(new Uint8Array(100_000))
      for await (const { filename } of changes) if (filename?.startsWith('upload-')) break
      await node.kill()
      assert.equal((await readdir(spool)).filter((name) => name.startsWith('upload-')).length, 1)
      node = await colony.start(folder)
      assert.deepEqual(await keptBy(node), before)
      await node.stop()
    })
  })

  describe('a full disk', () => {
    const MIB = 1024 ** 2
    let node: NodeProcess
    /** The data folder as the daemon sees it: in its own name space of mounts. */
    let seen: string

    before(async function () {
      const within = ['unshare', '--user', '--map-root-user', '--mount']
      const mount = 'mount -t tmpfs -o size=24m tmpfs "$ZOARIUM_DIR"'
      const probe = [...within.slice(1), 'sh', '-c', mount]
      const env = { ...process.env, ZOARIUM_DIR: await colony.folder() }
      if (spawnSync('unshare', probe, { env }).status !== 0) {
        console.log('      skipped: this machine lets nobody mount a small disk')
        this.skip()
      }
      const made = await colony.folder()
      await initNode(made, 'Institute')
      const folder = await colony.folder()
      const fill = `${mount} && cp -a "${made}/." "$ZOARIUM_DIR" && exec "$@"`
      node = await colony.start(folder, [], [], { within: [...within, 'sh', '-c', fill, 'sh'] })
      // The commands read the token from here.
      await cp(join(made, 'token'), join(folder, 'token'))
      seen = join('/proc', String(node.process.pid), 'root', folder)
    })

    /** Fills the disk but for some bytes; once more where the daemon took room meanwhile. */
    async function leave(bytes: number, tries = 5): Promise<void> {
      const ballast = join(seen, 'ballast')
      await rm(ballast, { force: true })
      const { bavail, bsize } = await statfs(seen)
      const rest = new Uint8Array(Math.max(0, bavail * bsize - bytes))
      if (rest.length === 0) return
      try {
        await writeFile(ballast, rest)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC' || tries === 1) throw error
        await leave(bytes, tries - 1)
      }
    }

    /** Something that needs more disk than there is, and then leaves the node as it was. */
    async function fails(...args: string[]): Promise<void> {
      const before = await keptBy(node, seen)
      const { code, hint, stderr } = await refused(node, ...args)
      assert.equal(code, 'DISK_FULL', stderr)
      assert.match(hint ?? '', /free some space/)
      assert.deepEqual(await keptBy(node, seen), before)
      assert.equal(node.process.exitCode, null)
    }

    it('ends an upload that does not fit', async () => {
      await leave(2 * MIB)
      await fails('publish', await packageWith('Large model', '1.0.0', randomBytes(4 * MIB)))
    })

    it('ends a publication whose files do not fit', async () => {
      await leave(6 * MIB)
      const files = filesWith('Large model', '1.0.0', new Uint8Array(12 * MIB))
      const zip = join(await colony.folder(), 'package.zip')
      await writeFile(zip, await zipOf(files))
      await fails('publish', zip)
    })

    it('keeps answering when nothing at all can be written', async () => {
      await leave(0)
      await fails('publish', await packageWith('Small model'))
      await fails('tokens', 'add', '--scope', 'read')
      assert.equal((await clientOf(node).search({ q: 'small' })).total, 0)
    })

    it('loses nothing at whichever write the disk is full', async () => {
      const path = await packageWith('Growing model')
      const failed = new Set<string>()
      for (let pages = 1; ; pages++) {
        assert.ok(pages < 300, 'it is never published')
        await leave(pages * 4096)
        const before = await keptBy(node, seen)
        const { status, stdout, stderr } = await runHere(node, 'publish', path, '--untested')
        if (status === 0) break
        const { error } = JSON.parse(stdout) as ErrorBody
        assert.equal(error.code, 'DISK_FULL', stderr)
        failed.add(error.message)
        assert.deepEqual(await keptBy(node, seen), before)
      }
    })

    it('takes models back and deletes them, though nothing can be written', async () => {
      await leave(Number.POSITIVE_INFINITY)
      const refs: string[] = []
      for (const name of ['Wrong model', 'Large model']) {
        const path = await packageWith(name, '1.0.0', randomBytes(1024 ** 2))
        refs.push((await zoariumJson<PublishView>(node, 'publish', path, '--untested')).ref)
      }
      const [wrong = '', large = ''] = refs
      await leave(0)
      await fails('publish', await packageWith('Another model'))
      await zoariumJson(node, 'withdraw', wrong, '--verb', 'recall', '--reason', 'wrong-output')
      assert.match((await zoarium(node, 'show', wrong)).stdout, /recall/)
      await leave(0)
      // What was given up before has gone to others on this disk.
      await fails('withdraw', large, '--verb', 'yank', '--reason', 'wrong-output')
      await leave(Number.POSITIVE_INFINITY)
      await zoariumJson<CollectedView>(node, 'gc')
      await leave(0)
      await zoariumJson(node, 'withdraw', large, '--verb', 'erase', '--here', '--reason', 'licence')
      assert.equal((await clientOf(node).search({ q: 'large' })).total, 0)
    })

    it('works again once there is space', async () => {
      await leave(Number.POSITIVE_INFINITY)
      const path = await packageWith('Small model')
      const { ref } = await zoariumJson<PublishView>(node, 'publish', path)
      assert.equal((await zoarium(node, 'verify', ref)).code, 0)
    })
  })
})
