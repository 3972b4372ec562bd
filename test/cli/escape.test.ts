import assert from 'node:assert/strict'
import fc from 'fast-check'
import { printable, printableJson } from '../../cli/escape.ts'

describe('cli/escape', () => {
  it('shows what would steer a terminal or turn the reading order', () => {
    assert.equal(printable('a\u001b[31mred\u0007'), 'a\\u001b[31mred\\u0007')
    assert.equal(
      printable('\u009b2J\u202Egnp.exe\u2066\u200b\ufeff'),
      '\\u009b2J\\u202egnp.exe\\u2066\\u200b\\ufeff',
    )
    assert.equal(printable('a\nb\tc\u2028\u007f'), 'a\\u000ab\\u0009c\\u2028\\u007f')
    assert.equal(printable('\ud800 \u{e0001}'), '\\ud800 \\udb40\\udc01')
    assert.equal(printable('Zürich 細胞 µm 🔬'), 'Zürich 細胞 µm 🔬')
  })

  it('leaves JSON equal for every parser', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.string({ unit: 'binary' }),
        fc.nat(2),
        (value, text, indent) => {
          const json = printableJson({ value, text }, indent)
          assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify({ value, text })))
          assert.doesNotMatch(json.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
        },
      ),
    )
  })
})
