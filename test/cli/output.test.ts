import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { Output } from '../../cli/output.ts'
import { ZoariumError } from '../../protocol/errors.ts'

describe('cli/output', () => {
  function shown(error: unknown): string[] {
    const stderr = new PassThrough()
    new Output(new PassThrough(), stderr, false).error(error)
    return String(stderr.read()).trimEnd().split('\n')
  }

  it('names the place of an error, unless its message does', () => {
    const error = new ZoariumError('INPUT_EMPTY', 'the input has no bytes', { field: 'body' })
    assert.deepEqual(shown(error), ['zoarium: body: the input has no bytes [INPUT_EMPTY]'])
    const said = new ZoariumError('NAME', 'not a name: x', { field: 'name' })
    assert.deepEqual(shown(said), ['zoarium: not a name: x [NAME]'])
  })

  it('tells a bound from what was expected', () => {
    const over = new ZoariumError('PIXELS', 'too many', { got: 5, limit: 4 })
    assert.deepEqual(shown(over), ['zoarium: too many: 5 (at most: 4) [PIXELS]'])
    const other = new ZoariumError('FORMAT', 'no image', { limit: 'PNG' })
    assert.deepEqual(shown(other), ['zoarium: no image (expected: PNG) [FORMAT]'])
  })

  it('gives each finding a line with its place, then the way out', () => {
    const error = new ZoariumError('FILE_MISSING', 'a is not here, and 1 more', {
      field: 'a',
      hint: 'bring it',
      issues: [
        { code: 'FILE_MISSING', message: 'a is not here', field: 'a', line: 3 },
        { code: 'YAML', message: 'odd', line: 7, hint: 'mend it' },
      ],
    })
    assert.deepEqual(shown(error), [
      'zoarium: a is not here, and 1 more [FILE_MISSING]',
      '  a:3  FILE_MISSING  a is not here',
      '  line 7  YAML  odd',
      '    mend it',
      'hint: bring it',
    ])
  })

  it('lets nothing steer the terminal', () => {
    const [line] = shown(new ZoariumError('NAME', 'no name', { got: '\u001b[2J\u202e' }))
    assert.equal(line, 'zoarium: no name: \\u001b[2J\\u202e [NAME]')
  })
})
