import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..', '..')
const document = fs.readFileSync(path.join(root, 'docs', 'threat-model.md'), 'utf8')

describe('docs/threat-model.md', () => {
  it('names only tests that there are', () => {
    const named = [...document.matchAll(/`([a-z0-9/-]+\.test\.ts)`/g)].map(([, file = '']) => file)
    assert(named.length > 20)
    for (const file of named) assert(fs.existsSync(path.join(root, 'test', file)), file)
  })

  it('points only to headings that there are', () => {
    const anchors = document.matchAll(/\]\(([a-z-]+\.md)?#([a-z0-9-]+)\)/g)
    for (const [, file = 'threat-model.md', anchor = ''] of anchors) {
      const text = fs.readFileSync(path.join(root, 'docs', file), 'utf8')
      const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replace(/[^a-z0-9 -]/g, '')
          .replaceAll(' ', '-'),
      )
      assert(headings.includes(anchor), `${file}#${anchor}`)
    }
  })
})
