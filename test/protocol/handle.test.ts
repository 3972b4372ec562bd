import assert from 'node:assert/strict'
import { handleDocument, readHandleDocument } from '../../protocol/handle.ts'
import { MAX_HANDLE_BYTES } from '../../protocol/limits.ts'
import { parseHandle } from '../../protocol/reference.ts'
import { TestPublisher, utf8 } from '../helpers/publisher.ts'

describe('protocol/handle', () => {
  const { publisher } = new TestPublisher('embl')
  const read = (text: string) => readHandleDocument(utf8(text))

  it('reads the publisher that a document names', () => {
    const text = JSON.stringify(handleDocument(publisher))
    assert.deepEqual(read(text), { ok: true, value: publisher })
    assert.deepEqual(read(JSON.stringify({ note: [1], publisher, version: 1 })).ok, true)
  })

  it('refuses every other document', () => {
    const raw = publisher.replace('bafyrei', 'bafkrei')
    for (const text of [
      '',
      '<html>',
      '[]',
      'null',
      '7',
      '['.repeat(50_000),
      '{"version":1}',
      '{"version":1,"publisher":7}',
      '{"version":1,"publisher":"embl"}',
      JSON.stringify({ version: 1, publisher: raw }),
      JSON.stringify({ version: 1, publisher: publisher.toUpperCase() }),
    ]) {
      const verdict = read(text)
      assert.equal(verdict.ok ? null : verdict.code, 'HANDLE', text.slice(0, 80))
    }
    const bytes = Uint8Array.of(0x22, 0xff, 0x22)
    assert.equal(readHandleDocument(bytes).ok, false)
    for (const version of [2, '1', undefined]) {
      const verdict = read(JSON.stringify({ version, publisher }))
      assert.equal(verdict.ok ? null : verdict.code, 'UNKNOWN_VERSION', String(version))
    }
  })

  it('reads documents up to the limit', () => {
    const text = JSON.stringify(handleDocument(publisher))
    assert.equal(read(text.padEnd(MAX_HANDLE_BYTES)).ok, true)
    const longer = read(text.padEnd(MAX_HANDLE_BYTES + 1))
    assert.equal(longer.ok ? null : longer.code, 'LIMIT')
  })

  it('takes domain names in lower case', () => {
    for (const text of ['zoo.embl.example', 'a.b', `${'a'.repeat(63)}.x`]) {
      assert.equal(parseHandle(text).ok, true, text)
    }
    for (const text of ['embl', 'Embl.example', 'embl.example.', '10.0.0.1', 'a b.example']) {
      const verdict = parseHandle(text)
      assert.equal(verdict.ok ? null : verdict.code, 'NAME', text)
    }
  })
})
