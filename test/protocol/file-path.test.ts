import assert from 'node:assert/strict'
import fc from 'fast-check'
import { checkPath, checkPaths } from '../../protocol/file-path.ts'
import { MAX_PATH_BYTES, MAX_PATH_DEPTH } from '../../protocol/limits.ts'

const codeOf = (path: string): string => {
  const checked = checkPath(path)
  return checked.ok ? 'ok' : checked.code
}
const clashOf = (...paths: string[]): string => {
  const checked = checkPaths(paths)
  return checked.ok ? 'ok' : checked.code
}

describe('protocol/file-path', () => {
  it('accepts the names that packages use', () => {
    for (const path of [
      'rdf.yaml',
      'weights.onnx',
      'weights.onnx.data',
      'sub folder/test_input.npy',
      'a/b/c/d.txt',
      '.gitattributes',
      'Zellkörper.png',
      '核.tif',
      'console.log',
      'com10.txt',
      'a..b',
      '...a',
      '#1 [x] (y) & z=ä~.png',
    ]) {
      assert.equal(codeOf(path), 'ok', path)
    }
  })

  const refused: Record<string, string[]> = {
    'that leave the folder': [
      '..',
      '../x',
      'a/../b',
      '.',
      './a',
      'a/.',
      '/etc/passwd',
      '//x',
      'a//b',
      'a/',
      '',
    ],
    'with backslash, drive or stream': ['a\\..\\b', 'C:x', 'C:\\x', 'a:b', '\\\\host\\x'],
    'with wildcards or quotes': ['a*', 'a?', '"a"', '<a>', 'a|b'],
    'with invisible characters': [
      'a\0b',
      'a\nb',
      'a\u001b[31m',
      'a\u007f',
      'a\u0085',
      'a\u202egpj',
      'a\u200bb',
      '\ufeffa',
    ],
    'that end in dot or space': ['a.', 'a ', 'a./b', 'a /b'],
    'that are devices on Windows': [
      'CON',
      'con',
      'nul.txt',
      'x/AUX',
      'COM1.onnx',
      'lpt9',
      'prn .txt',
      'COM¹',
      'CONIN$',
    ],
    'that are not Unicode': ['a\ud800'],
  }
  for (const [rule, paths] of Object.entries(refused)) {
    it(`refuses names ${rule}`, () => {
      for (const path of paths) assert.equal(codeOf(path), 'PATH', JSON.stringify(path))
    })
  }

  it('refuses names outside normal form C', () => {
    assert.equal(codeOf('e\u0301.png'), 'NFC')
    assert.equal(codeOf('\u00e9.png'), 'ok')
  })

  it('bounds bytes and depth at the limit and one past it', () => {
    assert.equal(codeOf('a'.repeat(MAX_PATH_BYTES)), 'ok')
    assert.equal(codeOf('a'.repeat(MAX_PATH_BYTES + 1)), 'PATH')
    assert.equal(codeOf('é'.repeat(MAX_PATH_BYTES / 2 + 1)), 'PATH')
    assert.equal(codeOf(Array(MAX_PATH_DEPTH).fill('a').join('/')), 'ok')
    assert.equal(
      codeOf(
        Array(MAX_PATH_DEPTH + 1)
          .fill('a')
          .join('/'),
      ),
      'PATH',
    )
  })

  it('finds names that some file systems take for one', () => {
    assert.equal(clashOf('a', 'b', 'c/a', 'c/b', 'd/a'), 'ok')
    assert.equal(clashOf('Model.bin', 'model.bin'), 'NAME_CLASH')
    assert.equal(clashOf('a', 'a'), 'NAME_CLASH')
    assert.equal(clashOf('\u00e9', 'e\u0301'), 'NAME_CLASH')
    assert.equal(clashOf('straße', 'STRASSE'), 'NAME_CLASH')
    assert.equal(clashOf('A/x', 'a/y'), 'NAME_CLASH')
    assert.equal(clashOf('a', 'a/b'), 'NAME_CLASH')
    assert.equal(clashOf('a/b', 'A'), 'NAME_CLASH')
  })

  it('lists every finding', () => {
    const checked = checkPaths(['../x', 'ok', 'C:x', 'OK'])
    assert.ok(!checked.ok)
    assert.equal(checked.issues?.length, 3)
  })

  it('never throws, and what it accepts stays inside any folder', () => {
    const part = fc.constantFrom('..', '.', '', 'a', 'con', 'A.', '\\', ':', '\u202e', 'é')
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.array(part, { maxLength: 10 }).map((parts) => parts.join('/')),
    )
    fc.assert(
      fc.property(text, (path) => {
        const checked = checkPath(path)
        if (!checked.ok) return
        const url = new URL(path.split('/').map(encodeURIComponent).join('/'), 'file:///base/')
        assert.ok(url.pathname.startsWith('/base/') && url.pathname.length > '/base/'.length)
        assert.deepEqual(checkPath(path), checked)
      }),
    )
  })

  it('does not depend on the order of the paths', () => {
    const name = fc.stringMatching(/^[aAé]{1,2}(\/[aAé]{1,2})?$/u)
    fc.assert(
      fc.property(fc.array(name, { maxLength: 6 }), (paths) => {
        assert.equal(checkPaths(paths).ok, checkPaths(paths.toReversed()).ok)
      }),
    )
  })
})
