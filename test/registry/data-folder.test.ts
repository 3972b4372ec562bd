import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import {
  createFolders,
  dataFolder,
  defaultDataPath,
  readPeerKey,
  readToken,
  requireInitialised,
} from '../../registry/data-folder.ts'
import { prepareFile, storeError, writeDurably } from '../../registry/durable-file.ts'
import { lockFolder } from '../../registry/sqlite-lock.ts'
import { temporaryFolder } from '../helpers/folder.ts'

const mode = (file: string): number => fs.statSync(file).mode & 0o777

describe('registry/data-folder', () => {
  it('is where the environment says', () => {
    assert.equal(defaultDataPath({ ZOARIUM_DIR: '/data/zoo' }), '/data/zoo')
    assert.match(defaultDataPath({}), /\.local\/share\/zoarium$/)
    assert.match(defaultDataPath({ ZOARIUM_DIR: '' }), /\.local\/share\/zoarium$/)
  })

  it('is for its owner only, also where it was open before', () => {
    const root = temporaryFolder()
    fs.chmodSync(root, 0o755)
    const folder = dataFolder(root)
    createFolders(folder)
    for (const each of [root, folder.keys, folder.blobs, folder.spool])
      assert.equal(mode(each), 0o700)
  })

  it('empties the spool and keeps the rest', () => {
    const folder = dataFolder(temporaryFolder())
    createFolders(folder)
    fs.writeFileSync(path.join(folder.spool, 'upload.zip'), 'x')
    fs.writeFileSync(path.join(folder.partial, 'bafk'), 'x')
    createFolders(folder)
    assert.deepEqual(fs.readdirSync(folder.spool), [])
    assert.deepEqual(fs.readdirSync(folder.partial), ['bafk'])
  })

  it('makes secrets once, readable by the owner only', () => {
    const folder = dataFolder(temporaryFolder())
    const token = readToken(folder)
    const peerKey = readPeerKey(folder)
    assert.match(token, /^[0-9a-f]{64}$/)
    assert.equal(readToken(folder), token)
    assert.deepEqual(readPeerKey(folder), peerKey)
    assert.equal(mode(folder.token), 0o600)
    assert.equal(mode(folder.peerKey), 0o600)
  })

  it('says when a secret is damaged', () => {
    const folder = dataFolder(temporaryFolder())
    fs.writeFileSync(folder.token, 'short')
    assert.throws(() => readToken(folder), { code: 'STORE' })
  })

  it('says that init comes first', () => {
    const folder = dataFolder(path.join(temporaryFolder(), 'none'))
    assert.throws(
      () => requireInitialised(folder),
      (error: { code: string; data: { hint: string } }) => {
        assert.equal(error.code, 'NOT_INITIALISED')
        assert.match(error.data.hint, /zoarium init/)
        return true
      },
    )
  })
})

describe('registry/durable-file', () => {
  it('replaces a file as a whole', () => {
    const file = path.join(temporaryFolder(), 'a.json')
    writeDurably(file, 'one')
    const prepared = prepareFile(file, 'two')
    assert.equal(fs.readFileSync(file, 'utf8'), 'one')
    prepared.commit()
    assert.equal(fs.readFileSync(file, 'utf8'), 'two')
    prepareFile(file, 'three').drop()
    assert.equal(fs.readFileSync(file, 'utf8'), 'two')
    assert.deepEqual(fs.readdirSync(path.dirname(file)), ['a.json'])
    assert.equal(mode(file), 0o600)
  })

  it('is not hindered by what a crash left', () => {
    const file = path.join(temporaryFolder(), 'a.json')
    fs.writeFileSync(`${file}.next`, 'half', { mode: 0o644 })
    writeDurably(file, 'whole')
    assert.equal(fs.readFileSync(file, 'utf8'), 'whole')
    assert.equal(mode(file), 0o600)
  })

  it('tells a full disk from other faults', () => {
    for (const code of ['ENOSPC', 'EDQUOT', 'EFBIG']) {
      assert.equal(storeError('write', { code }).code, 'DISK_FULL')
    }
    assert.equal(storeError('write', { code: 'EIO' }).code, 'STORE')
    const missing = path.join(temporaryFolder(), 'no', 'a.json')
    assert.throws(() => writeDurably(missing, 'x'), { code: 'STORE' })
  })
})

describe('registry/sqlite-lock', () => {
  it('is for one at a time, and names the other', () => {
    const folder = dataFolder(path.join(temporaryFolder(), 'new'))
    const lock = lockFolder(folder)
    assert.throws(
      () => lockFolder(folder),
      (error: { code: string; message: string }) => {
        assert.equal(error.code, 'LOCKED')
        assert.match(error.message, new RegExp(`process ${process.pid} uses`))
        return true
      },
    )
    lock.release()
    lock.release()
    lockFolder(folder).release()
  })

  it('ends with the process that held it, however that ends', async () => {
    const folder = dataFolder(temporaryFolder())
    const script = `
      import { dataFolder } from '${new URL('../../registry/data-folder.ts', import.meta.url)}'
      import { lockFolder } from '${new URL('../../registry/sqlite-lock.ts', import.meta.url)}'
      lockFolder(dataFolder(process.argv[1]))
      console.log('locked')
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder.path])
    await once(child.stdout, 'data')
    assert.throws(() => lockFolder(folder), {
      code: 'LOCKED',
      message: new RegExp(`process ${child.pid} `),
    })
    child.kill('SIGKILL')
    await once(child, 'exit')
    lockFolder(folder).release()
  })
})
