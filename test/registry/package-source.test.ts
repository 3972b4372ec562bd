import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { ZipFile } from 'yazl'
import { ZoariumError } from '../../protocol/errors.ts'
import { openSource, openZip } from '../../registry/package-source.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { writeFiles, zipOf } from '../helpers/package.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('registry/package-source', () => {
  let dir = ''
  let zip = ''
  beforeEach(() => {
    dir = temporaryFolder()
    zip = path.join(dir, 'x.zip')
  })

  /** The code of opening the archive and reading all of it, or `ok`. */
  const outcomeOf = async (bytes: Uint8Array): Promise<string> => {
    await writeFile(zip, bytes)
    const source = await openZip(zip)
    if (!source.ok) return source.code
    try {
      for (const file of source.value.files) {
        const stream = await source.value.open(file.path)
        assert.equal((await buffer(stream)).length, file.size)
      }
      return 'ok'
    } catch (error) {
      assert.ok(error instanceof ZoariumError, String(error))
      return error.code
    } finally {
      await source.value.close()
    }
  }
  const files = new Map([
    ['a.txt', utf8('hello hello hello hello')],
    ['b/c.txt', utf8('more')],
  ])
  /** An archive in which the first `find` is replaced by text of the same length, everywhere. */
  const renamed = async (from: string, to: string): Promise<Uint8Array> => {
    assert.equal(from.length, to.length)
    const bytes = await zipOf(new Map([[from, utf8('x')]]))
    return Buffer.from(Buffer.from(bytes).toString('latin1').replaceAll(from, to), 'latin1')
  }

  it('reads files of a folder', async () => {
    const folder = path.join(dir, 'folder')
    await writeFiles(folder, files)
    const source = await openSource(folder)
    assert.ok(source.ok)
    assert.deepEqual(source.value.files, [
      { path: 'a.txt', size: 23 },
      { path: 'b/c.txt', size: 4 },
    ])
    assert.equal(String(await buffer(await source.value.open('b/c.txt'))), 'more')
  })

  it('says what is no package', async () => {
    const other = path.join(dir, 'x.txt')
    await writeFile(other, 'x')
    for (const name of [other, path.join(dir, 'absent')]) {
      const source = await openSource(name)
      assert.ok(!source.ok && source.code === 'NOT_A_PACKAGE')
    }
  })

  it('reads archives, stored or deflated', async () => {
    assert.equal(await outcomeOf(await zipOf(files)), 'ok')
    const stored = new ZipFile()
    stored.addBuffer(Buffer.from('x'), 'a', { compress: false })
    stored.addEmptyDirectory('b')
    stored.addReadStream(Readable.from([Buffer.from('streamed')]), 'b/c', { compress: false })
    stored.end({ forceZip64Format: true, comment: '' })
    assert.equal(await outcomeOf(await buffer(stored.outputStream)), 'ok')
  })

  it('refuses names that leave the folder or clash', async () => {
    for (const [from, to] of [
      ['xxxxx', '../ab'],
      ['xxxxx', '/etc/'],
      ['xxxxx', 'C:\\ab'],
      ['xxxxx', 'a\\..b'],
      ['xxx', 'CON'],
    ] as const) {
      assert.equal(await outcomeOf(await renamed(from, to)), 'PATH', to)
    }
    assert.equal(
      await outcomeOf(
        await zipOf(
          new Map([
            ['A', utf8('')],
            ['a', utf8('')],
          ]),
        ),
      ),
      'NAME_CLASH',
    )
  })

  it('refuses links', async () => {
    const archive = new ZipFile()
    archive.addBuffer(Buffer.from('/etc/passwd'), 'rdf.yaml', { mode: 0o120777 })
    archive.end()
    assert.equal(await outcomeOf(await buffer(archive.outputStream)), 'PATH')
  })

  it('refuses archives that are encrypted, cut short or no archives', async () => {
    const whole = Buffer.from(await zipOf(files))
    const encrypted = Buffer.from(whole)
    const central = encrypted.indexOf(Buffer.from('PK\x01\x02'))
    encrypted.writeUInt16LE(encrypted.readUInt16LE(central + 8) | 1, central + 8)
    assert.equal(await outcomeOf(encrypted), 'ZIP')
    assert.equal(await outcomeOf(whole.subarray(0, -30)), 'ZIP')
    assert.equal(await outcomeOf(new Uint8Array()), 'ZIP')
    assert.equal(await outcomeOf(utf8('hello')), 'ZIP')
  })

  it('refuses entries that share bytes, and sizes and checksums that lie', async () => {
    const whole = Buffer.from(await zipOf(files))
    const first = whole.indexOf(Buffer.from('PK\x01\x02'))
    const second = whole.indexOf(Buffer.from('PK\x01\x02'), first + 4)
    const change = (edit: (bytes: Buffer) => void): Uint8Array => {
      const copy = Buffer.from(whole)
      edit(copy)
      return copy
    }
    const offset = 42
    const size = 24
    const crc = 16
    assert.equal(await outcomeOf(change((b) => b.writeUInt32LE(0, second + offset))), 'ZIP')
    assert.equal(await outcomeOf(change((b) => b.writeUInt32LE(22, first + size))), 'ZIP')
    assert.equal(await outcomeOf(change((b) => b.writeUInt32LE(24, first + size))), 'ZIP')
    assert.equal(await outcomeOf(change((b) => b.writeUInt32LE(1, first + crc))), 'ZIP')
    // The name in front of the bytes is another than the one in the directory.
    assert.equal(await outcomeOf(change((b) => b.write('z', b.indexOf('a.txt')))), 'ZIP')
  })

  it('bounds what an archive unpacks to, before it is unpacked', async () => {
    const bytes = Buffer.from(await zipOf(new Map([['a', new Uint8Array(1000)]])))
    const central = bytes.indexOf(Buffer.from('PK\x01\x02'))
    bytes.writeUInt32LE(2 ** 30, central + 24)
    assert.equal(await outcomeOf(bytes), 'ZIP')
    bytes.writeUInt32LE(2 ** 30 + 1, central + 24)
    assert.equal(await outcomeOf(bytes), 'LIMIT')
  })

  it('bounds the number of entries', async () => {
    const many = (n: number) =>
      new Map(Array.from({ length: n }, (_, i) => [`f${i}`, new Uint8Array()]))
    const bytes = Buffer.from(await zipOf(many(1)))
    const end = bytes.indexOf(Buffer.from('PK\x05\x06'))
    bytes.writeUInt16LE(10_001, end + 10)
    assert.equal(await outcomeOf(bytes), 'LIMIT')
  })

  it('never throws but coded errors on mutated archives', async () => {
    const whole = await zipOf(files)
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255))
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const copy = whole.slice()
        for (const [at, byte] of changes) copy[at] = byte
        await outcomeOf(copy)
      }),
      { numRuns: 150 },
    )
  })
})
