import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { runCli } from '../../cli/program.ts'
import { readSource } from '../../cli/roster-source.ts'
import type { RosterView } from '../../protocol/api.ts'
import { EXIT } from '../../protocol/errors.ts'
import { MAX_ROSTER_CAR_BYTES } from '../../protocol/limits.ts'
import { CAR_TYPE } from '../../protocol/roster-car.ts'
import { zoarium } from '../helpers/cli.ts'
import { createFakeNode, type FakeNode } from '../helpers/fake-node.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { serve } from '../helpers/http.ts'

const { signal } = new AbortController()

describe('cli/join', () => {
  let node: FakeNode
  let env: Record<string, string>
  let file: string
  const serveWith = async (overrides: Parameters<typeof createFakeNode>[1] = {}) => {
    node = createFakeNode(temporaryFolder(), overrides)
    env = { ZOARIUM_URL: (await serve(node)).url, ZOARIUM_TOKEN: 'operator' }
  }
  beforeEach(async () => {
    await serveWith()
    file = join(temporaryFolder(), 'imaging.car')
    writeFileSync(file, 'a roster')
  })
  const run = (...argv: string[]) => zoarium(argv, env)
  const dryRuns = () =>
    (node.calls.rosters as [string, { dryRun: boolean; ref: string | null }][]).map(
      ([what, { dryRun, ref }]) => [what, dryRun, ref],
    )

  it('shows everything, and joins only after a yes', async () => {
    const refused = await run('join', file)
    assert.equal(refused.status, EXIT.usage)
    assert.match(refused.stderr, /--yes/)
    const shown =
      /imaging, a roster of institute-a\n +issuer +bafy\S+\n +fingerprint +(\S{4} ){3}\S{4}\n[\s\S]*members get +mirror; the roster recommends run, which --grant-run gives\n +connects to +\/dns4[\s\S]*institute-a +mirror +this roster +new +bafy\S+\n +You are no member of it.*\n +no member any more: institute-a/
    assert.match(refused.stdout, shown)
    assert.deepEqual(dryRuns(), [['join', true, null]])
    const joined = await run('join', file, '--yes')
    assert.match(joined.stdout, shown)
    assert.match(
      joined.stdout,
      /joined imaging of institute-a\n +not reached yet: \/dns4.*: nobody\n$/,
    )
    assert.deepEqual(dryRuns().slice(1), [
      ['join', true, null],
      ['join', false, null],
    ])
  })

  it('prints one document with --json, and asks nobody', async () => {
    const joined = await run('--json', 'join', file, '--yes', '--grant-run')
    assert.equal((joined.json() as { dryRun: boolean }).dryRun, false)
    const [, options] = (node.calls.rosters[1] ?? []) as [string, { grantRun: boolean }]
    assert.equal(options.grantRun, true)
    assert.equal((await run('--json', 'join', file)).status, EXIT.usage)
  })

  it('asks the person at the terminal', async () => {
    const ask = async (answer: string) => {
      const stdin = Object.assign(new PassThrough(), { isTTY: true })
      let shown = ''
      let isAsked = false
      const sink = new Writable({
        write: (chunk, _, done) => {
          shown += chunk
          if (shown.includes('[y/N]') && !isAsked) {
            isAsked = true
            stdin.write(`${answer}\n`)
          }
          done()
        },
      })
      const status = await runCli(['join', file], {
        stdout: sink,
        stderr: sink,
        stdin: stdin as unknown as NodeJS.ReadStream,
        env,
        signal,
      })
      return { status, shown }
    }
    const no = await ask('n')
    assert.match(no.shown, /nothing was changed/)
    assert.equal(no.status, EXIT.unreachable)
    assert.deepEqual(dryRuns(), [['join', true, null]])
    assert.equal((await ask('yes')).status, EXIT.ok)
    assert.deepEqual(dryRuns().at(-1), ['join', false, null])
  })

  it('joins exactly the record that it showed, where peers are asked', async () => {
    const issuer = node.publisher.publisher
    await run('join', issuer, '--yes')
    const { record } = node.view
    assert.deepEqual(dryRuns(), [
      ['join', true, issuer],
      ['join', false, record],
    ])
  })

  it('accepts what was added to rosters that are followed', async () => {
    const accepted = await run('join', '--accept', '--yes')
    assert.equal(accepted.status, EXIT.ok, accepted.stderr)
    assert.deepEqual(dryRuns(), [
      ['join', true, node.view.record],
      ['join', false, node.view.record],
    ])
    assert.equal((await run('join', '--accept', 'other', '--yes')).status, EXIT.notFound)
    const [roster] = node.rosters()
    const settled = { ...roster, followed: null } as RosterView
    await serveWith({ rosters: () => [settled] })
    assert.match((await run('join', '--accept', 'imaging', '--yes')).stdout, /no member waits/)
    assert.deepEqual(node.calls.rosters, [])
  })

  it('leaves by name, with the issuer where several have it', async () => {
    assert.match((await run('leave', 'imaging')).stdout, /left imaging[\s\S]*mirror +run/)
    assert.deepEqual(node.calls.rosters, [['leave', node.publisher.publisher, 'imaging']])
    const [roster] = node.rosters() as [RosterView]
    const twin = { ...roster, publisher: { ...roster.publisher, label: 'twin', petname: 'twin' } }
    await serveWith({ rosters: () => [roster, twin] })
    assert.equal((await run('leave', 'imaging')).status, EXIT.invalidInput)
    assert.equal((await run('leave', 'institute-a/imaging')).status, EXIT.ok)
    assert.equal((await run('leave', 'nobody/imaging')).status, EXIT.notFound)
  })

  it('shows, signs, withdraws and exports rosters', async () => {
    assert.match((await run('roster')).stdout, /imaging +institute-a +OK +1 +mirror +1/)
    const shown = (await run('roster', 'show', 'imaging')).stdout
    assert.match(shown, /also stands +bafy/)
    assert.match(shown, /institute-a +run +waits/)
    assert.match(shown, /1 member waits: zoarium join --accept imaging/)
    const address = '/ip4/192.0.2.1/tcp/1/p2p/x'
    const made = await run(
      ...['roster', 'set', 'imaging', '--member', 'b', '--member', 'c', '--remove', 'd'],
      ...['--right', 'run', '--bootstrap', address],
    )
    assert.match(made.stderr, /names no address[\s\S]*roster export imaging/)
    assert.deepEqual(node.calls.rosters, [
      ['set', 'imaging', { add: ['b', 'c'], remove: ['d'], right: 'run', bootstrap: [address] }],
    ])
    assert.match((await run('roster', 'withdraw', 'imaging')).stdout, /withdrawn: imaging/)
    const out = join(temporaryFolder(), 'out.car')
    assert.equal((await run('roster', 'export', 'imaging', out)).status, EXIT.ok)
    assert.deepEqual(await readSource(out, signal), Buffer.from([1, 2, 3]))
    assert.equal((await run('roster', 'export', 'imaging', '/nowhere/out.car')).status, EXIT.failed)
  })

  it('says in status what of a roster waits, and how it stands', async () => {
    const { stdout } = await run('status')
    assert.match(stdout, /ROSTER: 1 member waits to be accepted in imaging of institute-a/)
    const [status] = node.node().rosters
    const states = [
      ['WITHDRAWN', /was withdrawn.*zoarium leave imaging/],
      ['UNKNOWN', /no record of imaging of institute-a is here yet/],
      ['CONTESTED', /has forked/],
    ] as const
    for (const [state, expected] of states) {
      const view = { ...node.node(), rosters: [{ ...status, state, waiting: 0 }] }
      await serveWith({ node: () => view as ReturnType<FakeNode['node']> })
      assert.match((await run('status')).stdout, expected)
    }
  })
})

describe('cli/roster-source', () => {
  let url: string
  let answer: RequestListener
  let close: () => void
  beforeEach(async () => {
    const server = createServer((request, response) => answer(request, response))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.car`
    close = () => server.close()
  })
  afterEach(() => close())
  const codeOf = (source: string) =>
    readSource(source, signal).then(
      (bytes) => bytes.length,
      (error) => error.code,
    )
  const with_ = (headers: Record<string, string>, body: Uint8Array, status = 200) => {
    answer = (_, response) => response.writeHead(status, headers).end(body)
  }
  const type = { 'Content-Type': CAR_TYPE }

  it('reads a file of at most 1 MiB from an address and from a path', async () => {
    const path = join(temporaryFolder(), 'a.car')
    for (const [size, expected] of [
      [MAX_ROSTER_CAR_BYTES, MAX_ROSTER_CAR_BYTES],
      [MAX_ROSTER_CAR_BYTES + 1, 'LIMIT'],
    ] as const) {
      with_({ 'Content-Type': `${CAR_TYPE}; version=1` }, new Uint8Array(size))
      assert.equal(await codeOf(url), expected)
      writeFileSync(path, new Uint8Array(size))
      assert.equal(await codeOf(path), expected)
    }
  })

  it('follows no redirect, and takes no other type', async () => {
    with_({ ...type, Location: `${url}2` }, new Uint8Array(), 302)
    assert.equal(await codeOf(url), 'UNREACHABLE')
    with_({ 'Content-Type': 'text/html' }, new Uint8Array(3))
    assert.equal(await codeOf(url), 'MEDIA_TYPE')
    with_({}, new Uint8Array(3))
    assert.equal(await codeOf(url), 'MEDIA_TYPE')
    with_(type, new Uint8Array(), 404)
    assert.equal(await codeOf(url), 'NOT_FOUND')
    answer = (_, response) => response.destroy()
    assert.equal(await codeOf(url), 'UNREACHABLE')
    answer = (_, response) => {
      response.writeHead(200, { ...type, 'Content-Length': '100' }).write('half')
      setImmediate(() => response.destroy())
    }
    assert.equal(await codeOf(url), 'UNREACHABLE')
  })

  it('asks nobody in clear text but this machine', async () => {
    for (const each of [
      'http://192.0.2.1/a.car',
      'ftp://127.0.0.1/a',
      'http://127.0.0.1.example/',
    ]) {
      assert.equal(await codeOf(each), 'USAGE', each)
    }
  })

  it('passes ids on, and says what is no file', async () => {
    assert.equal(await codeOf('/nowhere/a.car'), 'NOT_FOUND')
    assert.equal(await codeOf(temporaryFolder()), 'STORE')
    const { publisher } = createFakeNode('/nowhere').publisher
    assert.equal(await readSource(publisher, signal), publisher)
    assert.equal(await codeOf(publisher.slice(0, -1)), 'NOT_FOUND')
  })
})
