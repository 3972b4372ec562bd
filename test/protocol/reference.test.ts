import assert from 'node:assert/strict'
import fc from 'fast-check'
import { cidOf } from '../../protocol/cid.ts'
import {
  checkShown,
  formatReference,
  isPublisher,
  LABEL_PATTERN,
  NAME_PATTERN,
  parseLabel,
  parseName,
  parseReference,
  parseTag,
  parseVersion,
  slugOf,
} from '../../protocol/reference.ts'
import { utf8 } from '../helpers/publisher.ts'

const record = cidOf('dag-cbor', utf8('record'))
const codeOf = (text: string): string => {
  const verdict = parseReference(text)
  return verdict.ok ? verdict.value.kind : verdict.code
}
const model = (
  publisher: string,
  name: string,
  version: string | null = null,
  tag: string | null = null,
) => ({
  ok: true,
  value: { kind: 'model', publisher, name, version, tag },
})

describe('protocol/reference', () => {
  it('reads a model of a publisher, with version or tag', () => {
    assert.deepEqual(parseReference('embl/nuclei'), model('embl', 'nuclei'))
    assert.deepEqual(parseReference('embl/nuclei@latest'), model('embl', 'nuclei'))
    assert.deepEqual(parseReference('embl/nuclei@1.2.0'), model('embl', 'nuclei', '1.2.0'))
    assert.deepEqual(parseReference('embl/nuclei@2'), model('embl', 'nuclei', '2'))
    assert.deepEqual(parseReference('embl/nuclei@stable'), model('embl', 'nuclei', null, 'stable'))
    assert.deepEqual(parseReference('embl.de/u-net_2d.v1'), model('embl.de', 'u-net_2d.v1'))
    assert.deepEqual(parseReference(`${record}/nuclei@1.0`), model(record, 'nuclei', '1.0'))
  })

  it('reads a record by its id, and refuses the id of a file', () => {
    assert.deepEqual(parseReference(record), { ok: true, value: { kind: 'record', cid: record } })
    assert.equal(codeOf(cidOf('raw', utf8('file'))), 'REF')
    assert.equal(codeOf(`${record.slice(0, -1)}b`), 'CID_TEXT')
  })

  it('reads DOIs and old nicknames as aliases', () => {
    for (const text of [
      '10.5281/zenodo.5764892',
      '10.5281/zenodo.5764892/1.1',
      'https://doi.org/10.5281/zenodo.5764892',
      'affable-shark',
      'affable shark',
    ]) {
      assert.deepEqual(parseReference(text), { ok: true, value: { kind: 'alias', text } })
    }
  })

  it('refuses what names nothing', () => {
    for (const text of [
      '',
      ' embl/nuclei',
      'embl/',
      '/nuclei',
      'embl/Nuclei',
      'embl/nuclei@',
      'embl/nuclei@1@2',
      'embl/nuclei@-1',
      'EMBL/nuclei',
      'embl/a/b',
      '../../etc/passwd',
      'embl/nuclei\n',
      'embl/\u202einelcun',
      'x'.repeat(257),
      'https://example.org/nuclei',
    ]) {
      assert.equal(codeOf(text), 'REF', JSON.stringify(text))
    }
  })

  it('reads what it writes, and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), (text) => {
        const verdict = parseReference(text)
        if (!verdict.ok) return
        const again = parseReference(formatReference(verdict.value))
        assert.deepEqual(again, verdict)
      }),
    )
    const parts = fc.tuple(
      fc.stringMatching(LABEL_PATTERN),
      fc.stringMatching(NAME_PATTERN),
      fc.constantFrom('', '@1.0.0', '@stable', '@2026.1-rc1+x'),
    )
    fc.assert(
      fc.property(parts, ([publisher, name, suffix]) => {
        const text = `${publisher}/${name}${suffix}`
        const verdict = parseReference(text)
        assert(verdict.ok)
        assert.equal(formatReference(verdict.value), text)
      }),
    )
  })

  it('keeps names, labels, versions and tags to their grammar', () => {
    const outcomes = (parse: (text: string) => { ok: boolean }, ...texts: string[]) =>
      texts.filter((text) => parse(text).ok)
    assert.deepEqual(
      outcomes(parseName, 'a', '2d', 'a.b_c-d', 'x'.repeat(64), 'x'.repeat(65), '-a', 'A', ''),
      ['a', '2d', 'a.b_c-d', 'x'.repeat(64)],
    )
    assert.deepEqual(
      outcomes(parseLabel, 'embl', '-a', 'x'.repeat(40), 'x'.repeat(41), 'a.b', ''),
      ['embl', '-a', 'x'.repeat(40)],
    )
    assert.deepEqual(
      outcomes(parseVersion, '1', '1.2.0', '0.1.0-RC1+a', '2024.05', 'v1', '', '1 0', '1/2'),
      ['1', '1.2.0', '0.1.0-RC1+a', '2024.05'],
    )
    assert.deepEqual(outcomes(parseTag, 'stable', 'v1', 'latest', '1', 'Stable'), ['stable', 'v1'])
  })

  it('tells what may stand for a publisher', () => {
    for (const text of ['embl', 'embl.de', 'a.b.c.example', record, 'xn--bcher-kva.example']) {
      assert.equal(isPublisher(text), true, text)
    }
    for (const text of ['', '10.5281', 'a..b', '.de', 'embl.de.', 'ä.de', `${'x'.repeat(64)}.de`]) {
      assert.equal(isPublisher(text), false, text)
    }
  })

  it('makes names of titles', () => {
    assert.equal(slugOf('Nuclei U-Net (2D)'), 'nuclei-u-net-2d')
    assert.equal(slugOf('  Zellkörper   Ä  '), 'zellkorper-a')
    assert.equal(slugOf('核'), '')
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (title) => {
        const slug = slugOf(title)
        assert(slug === '' || (LABEL_PATTERN.test(slug) && NAME_PATTERN.test(slug)), slug)
        assert.equal(slugOf(slug), slug)
      }),
    )
  })

  it('lets people see only what is written', () => {
    const codeOf = (text: string, max = 20) => {
      const verdict = checkShown(text, max)
      return verdict.ok ? 'ok' : verdict.code
    }
    for (const text of ['', 'EMBL Heidelberg', 'Größe', '核', '👩‍🔬', 'می‌خواهم'])
      assert.equal(codeOf(text), 'ok', text)
    for (const text of [
      'a\0',
      '\u001b[31m',
      'a\nb',
      '\u202eb',
      '\u2066x',
      '\u200fx',
      '\ufeff',
      '\ud800',
      '\u2028',
    ]) {
      assert.equal(codeOf(text), 'NAME', JSON.stringify(text))
    }
    assert.equal(codeOf('e\u0301'), 'NFC')
    assert.equal(codeOf('😀'.repeat(20)), 'ok')
    assert.equal(codeOf('😀'.repeat(21)), 'LIMIT')
    assert.equal(codeOf('x'.repeat(1e6)), 'LIMIT')
  })
})
