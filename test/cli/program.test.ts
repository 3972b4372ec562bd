import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { EXIT, ZoariumError } from '../../protocol/errors.ts'
import { zoarium } from '../helpers/cli.ts'
import { createFakeNode } from '../helpers/fake-node.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { serve } from '../helpers/http.ts'

const NOWHERE = { ZOARIUM_URL: 'http://127.0.0.1:1', ZOARIUM_DIR: '/nowhere' }

describe('cli/program', () => {
  it('prints help and version', async () => {
    const help = await zoarium(['--help'], NOWHERE)
    assert.equal(help.status, EXIT.ok)
    const commands =
      'init daemon start publish search show pull verify run join leave roster peers sync status trust tokens keys demo'
    for (const command of commands.split(' ')) {
      assert.match(help.stdout, new RegExp(`^  ${command}\\b`, 'm'), command)
    }
    for (const flag of ['--version', '-V']) {
      assert.match((await zoarium([flag], NOWHERE)).stdout, /^\d+\.\d+\.\d+\n$/)
    }
  })

  it('leaves with 2 where the command line is wrong', async () => {
    const cases = [
      [],
      ['nothing'],
      ['search', '--channels', 'x'],
      ['search', '--nope'],
      ['show'],
      ['show', 'a', 'b'],
      ['trust', 'add', 'embl', 'everything'],
      ['tokens', 'add'],
      ['join'],
      ['join', 'a', 'b'],
      ['leave'],
      ['roster', 'set'],
      ['roster', 'set', 'a', '--right', 'see'],
      ['roster', 'export', 'a'],
      ['tokens', 'add', '--scope', 'all'],
      ['keys', 'show'],
      ['keys', 'revoke', '0123456789abcdef'],
      ['keys', 'revoke', '0123456789abcdef', '--reason', 'bored'],
      ['keys', 'revoke', '0123456789abcdef', '--reason', 'lost', '--at', '12'],
      ['keys', 'delegate', 'all'],
      ['keys', 'delegate', 'serve', '--key', 'abc'],
      ['keys', 'threshold', '2/3'],
      ['publish', '.', '--weights', 'pickle'],
      ['run', 'a/b', 'image.png', '-o', 'image.gif'],
      ['run', 'a/b', 'image.png', '-o', './image.png'],
    ]
    for (const argv of cases) {
      const { status, stderr } = await zoarium(argv, NOWHERE)
      assert.equal(status, EXIT.usage, argv.join(' '))
      assert.notEqual(stderr, '')
    }
  })

  it('says how to start a daemon where none answers', async () => {
    const { status, stderr, stdout } = await zoarium(['status'], NOWHERE)
    assert.equal(status, EXIT.unreachable)
    assert.match(stderr, /UNREACHABLE/)
    assert.match(stderr, /hint: .*zoarium daemon/)
    assert.equal(stdout, '')
  })

  it('prints an error as the route sent it, and leaves with its status', async () => {
    const issues = [
      { code: 'FILE_MISSING', message: 'not there', field: 'weights.onnx.source', line: 7 },
      { code: 'FILE_REMOTE', message: 'a URL', field: 'cover', got: 'https://x\u001b[2J' },
    ] as const
    const node = createFakeNode(temporaryFolder(), {
      model: () => {
        throw new ZoariumError('RECALLED', 'recalled', { hint: 'use another', issues })
      },
    })
    const { url } = await serve(node)
    const run = await zoarium(['--json', 'show', 'a/b'], { ZOARIUM_URL: url })
    assert.equal(run.status, EXIT.refused)
    assert.deepEqual(run.json(), {
      error: { code: 'RECALLED', message: 'recalled', hint: 'use another', issues },
    })
    assert.equal(
      run.stderr,
      'zoarium: recalled [RECALLED]\n' +
        '  weights.onnx.source:7  FILE_MISSING  not there\n' +
        '  cover  FILE_REMOTE  a URL: https://x\\u001b[2J\n' +
        'hint: use another\n',
    )
    assert.ok(!run.stdout.includes('\u001b'))
  })

  it('takes other servers for what they are', async () => {
    for (const [status, body] of [
      [200, '<html>'],
      [500, 'oops'],
      [404, '{"error":{"code":"ODD"}}'],
    ] as const) {
      const server = createServer((_request, response) => {
        response.writeHead(status).end(body)
      }).listen(0, '127.0.0.1')
      await new Promise((resolve) => server.once('listening', resolve))
      const { port } = server.address() as AddressInfo
      const run = await zoarium(['status'], { ZOARIUM_URL: `http://127.0.0.1:${port}` })
      server.close()
      assert.equal(run.status, EXIT.unreachable)
      assert.match(run.stderr, /\[PEER\]/)
    }
  })

  it("takes the operator's token to this machine only, and no token into the clear", async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'token'), 'operator\n')
    const { url } = await serve(createFakeNode(folder))
    const here = await zoarium(['tokens'], { ZOARIUM_URL: url, ZOARIUM_DIR: folder })
    assert.equal(here.status, EXIT.ok)
    const without = await zoarium(['tokens'], { ZOARIUM_URL: url, ZOARIUM_DIR: '/nowhere' })
    assert.equal(without.status, EXIT.refused)
    const clear = { ZOARIUM_URL: 'http://zoo.example.org', ZOARIUM_TOKEN: 'operator' }
    assert.match((await zoarium(['status'], clear)).stderr, /\[CONFIG\]/)
  })

  it('runs as a program of its own', function (done) {
    this.timeout(20_000)
    const env = { PATH: process.env.PATH, ...NOWHERE }
    execFile(process.execPath, ['cli/main.ts', 'status', '--json'], { env }, (error, stdout) => {
      assert.equal(error?.code, EXIT.unreachable)
      assert.equal(JSON.parse(stdout).error.code, 'UNREACHABLE')
      done()
    })
  })
})
