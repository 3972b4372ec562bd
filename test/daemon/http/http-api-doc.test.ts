import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { openApi } from '../../../daemon/http/openapi.ts'
import { CODES } from '../../../protocol/errors.ts'

describe('docs/http-api.md', () => {
  const page = readFileSync(new URL('../../../docs/http-api.md', import.meta.url), 'utf8')

  it('lists every error code with its status and exit status, and no other', () => {
    const rows = [...page.matchAll(/^\| `([A-Z0-9_]+)` \| (\d+) \| (\d) \|/gm)]
    const listed = rows.map(([, code, status, exit]) => [code, Number(status), Number(exit)])
    const known = Object.entries(CODES).map(([code, { status, exit }]) => [code, status, exit])
    assert.deepEqual(listed.sort(), known.sort())
  })

  it('lists every route, and no other', () => {
    const rows = [...page.matchAll(/^\| (GET|POST|PUT|DELETE) `([^`?]+)/gm)]
    const listed = rows.map(([, method, path]) => `${method} ${path}`)
    const known = Object.entries(openApi.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    )
    assert.deepEqual(listed.sort(), known.sort())
  })
})
