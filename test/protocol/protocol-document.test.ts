/** docs/protocol.md says what the code does, where both can be compared. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { CODES } from '../../protocol/errors.ts'
import * as limits from '../../protocol/limits.ts'

const root = path.join(import.meta.dirname, '..', '..')
const document = fs.readFileSync(path.join(root, 'docs', 'protocol.md'), 'utf8')

/** Cells of the rows of the table under a heading, without its head. */
function rowsUnder(heading: string): string[][] {
  const section = document.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  return rows.map((row) => row.slice(2, -2).split(' | '))
}

const UNITS = {
  _BYTES: [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
    ['bytes', 1],
  ],
  _MS: [
    ['days', 24 * 3600 * 1000],
    ['minutes', 60 * 1000],
    ['ms', 1],
  ],
} as const

function shown(name: string, value: number): string {
  const ending = name.endsWith('_BYTES') ? '_BYTES' : name.endsWith('_MS') ? '_MS' : null
  if (ending === null) return value.toLocaleString('en-US')
  const unit = UNITS[ending].find(([, size]) => value % size === 0)
  return unit === undefined ? '' : `${value / unit[1]} ${unit[0]}`
}

describe('docs/protocol.md', () => {
  it('prints every limit', () => {
    const printed = rowsUnder('Limits').map(([name, limit]) => `${name} ${limit}`)
    const expected = Object.entries(limits).map(
      ([name, value]) => `\`${name}\` ${shown(name, value)}`,
    )
    assert.deepEqual(printed.toSorted(), expected.toSorted())
  })

  it('prints codes with their meaning', () => {
    for (const [code, meaning] of rowsUnder('Error codes')) {
      const name = code?.slice(1, -1) ?? ''
      assert(Object.hasOwn(CODES, name), name)
      assert.equal(meaning, CODES[name as keyof typeof CODES].meaning, name)
    }
  })

  it('names only codes and limits that there are', () => {
    for (const [, name = ''] of document.matchAll(/`([A-Z][A-Z0-9_]{2,})`/g)) {
      assert(Object.hasOwn(CODES, name) || Object.hasOwn(limits, name), name)
    }
  })

  it('has every section that the code points to', () => {
    const headings = new Set([...document.matchAll(/^##+ (.+)$/gm)].map(([, heading]) => heading))
    for (const file of fs.readdirSync(path.join(root, 'protocol'))) {
      const source = fs.readFileSync(path.join(root, 'protocol', file), 'utf8')
      for (const [, heading] of source.matchAll(/protocol\.md,(?:\s|\*)*"([^"]+)"/g)) {
        assert(headings.has(heading), `${file} points to "${heading}"`)
      }
    }
  })

  it('has the vectors that it lists', () => {
    const listed = rowsUnder('Test vectors').flatMap(([names = '']) =>
      names.replaceAll('`', '').split(', '),
    )
    const files = fs
      .readdirSync(path.join(root, 'test', 'vectors'))
      .filter((name) => name.endsWith('.json'))
    assert.deepEqual(listed.toSorted(), files.toSorted())
  })
})
