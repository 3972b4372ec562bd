import assert from 'node:assert/strict'
import type { ModelPageView, PublisherView } from '../../protocol/api.ts'
import type { Cid } from '../../protocol/cid.ts'
import { EXIT, type Issue } from '../../protocol/errors.ts'
import { type CliRun, zoarium } from '../helpers/cli.ts'
import { createFakeNode, type FakeNode } from '../helpers/fake-node.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { serve } from '../helpers/http.ts'

describe('cli/commands', () => {
  let node: FakeNode
  let env: Record<string, string>
  const run = (...argv: string[]): Promise<CliRun> => zoarium(argv, env)

  const serveWith = async (overrides: Parameters<typeof createFakeNode>[1] = {}) => {
    node = createFakeNode(temporaryFolder(), overrides)
    env = { ZOARIUM_URL: (await serve(node)).url, ZOARIUM_TOKEN: 'operator' }
  }
  beforeEach(() => serveWith())

  it('prints with --json what the route answered', async () => {
    assert.deepEqual((await run('status', '--json')).json(), node.node())
    assert.deepEqual((await run('--json', 'peers')).json(), { items: node.peers() })
    assert.deepEqual((await run('trust', 'list', '--json')).json(), node.trust())
    assert.deepEqual((await run('tokens', '--json')).json(), { items: node.tokens() })
    assert.deepEqual((await run('search', '--json')).json(), node.search({}))
    const shown = (await run('show', 'institute-a/nuclei', '--json')).json()
    assert.deepEqual(shown, JSON.parse(JSON.stringify({ kind: 'model', ...node.view })))
  })

  it('prints for people without it', async () => {
    assert.match(
      (await run('status')).stdout,
      /Institute A.*\n[\s\S]*holds +1 model of 1 publisher/,
    )
    assert.match(
      (await run('status')).stdout,
      /models run +in processes of their own with bounded memory, without new privileges, but this machine cannot run them without a network/,
    )
    assert.match(
      (await run('peers')).stdout,
      /institute-a +zoo.example.org \(verified\) +connected +0 ms/,
    )
    assert.match((await run('peers', 'add', '/ip4/1.2.3.4/tcp/1')).stdout, /connected to 12D3KooW/)
    assert.match((await run('sync')).stdout, /12D3KooWFakePeer +2 +900 B +1 +4 ms/)
    assert.match(
      (await run('show', 'institute-a/nuclei')).stdout,
      /licence +MIT[\s\S]*weights.onnx +weights +1.50 MB/,
    )
    assert.match(
      (await run('trust', 'explain', 'institute-a')).stdout,
      /fetched on demand where they may be held: a mirror rule says so[\s\S]*CONTESTED.*\n.*yank\n[\s\S]*run +yes +a rule gives it "run" +zoarium trust add institute-a mirror\n[\s\S]*reviewed +no +withdrawn/,
    )
    assert.match((await run('trust', 'remove', 'institute-a')).stdout, /run \(own\)/)
    assert.match((await run('attest', 'institute-a/nuclei')).stdout, /nuclei\S*: reproduced\n/)
    assert.equal((await run('attest', 'a/b', '--claim', 'liked')).status, EXIT.usage)
  })

  it('pins models, lists them and lets them go', async () => {
    const { record } = node.view
    assert.deepEqual((await run('pin', '--json')).json(), { items: node.pins() })
    assert.match((await run('pin', 'list')).stdout, /MODEL +HELD +RECORD\n.*nuclei@1.0.0 +yes/)
    assert.match((await run('pin', 'institute-a/nuclei')).stdout, new RegExp(record))
    assert.equal((await run('pin', 'institute-a/other')).status, EXIT.notFound)
    assert.equal((await run('unpin', 'institute-a/nuclei')).stdout, 'nothing is pinned\n')
    assert.equal((await run('unpin')).status, EXIT.usage)
  })

  it('tells of models that are about to get lost', async () => {
    const status = (await run('status')).stdout
    assert.match(status, /at risk +1 model with too few copies/)
    assert.match(status, /AT RISK: \S+ is held by 1 institution, and should be by 2/)
    assert.match((await run('show', 'institute-a/nuclei')).stdout, /copies +2 \(institute-a\)/)
  })

  it('takes models back, and says how to go on', async () => {
    const withdraw = (...words: string[]) => run('withdraw', 'institute-a/nuclei', ...words)
    const erased = await withdraw('--verb', 'erase', '--reason', 'licence')
    assert.match(erased.stdout, /its bytes go after 72 hours\n +record +bafy/)
    assert.match(erased.stderr, /zoarium withdraw bafy\S+ --verb restore --reason mistake/)
    const restored = await withdraw('--verb', 'restore', '--reason', 'mistake')
    assert.match(restored.stdout, /stands again/)
    for (const wrong of [
      ['--verb', 'erase'],
      ['--verb', 'yank', '--here'],
    ]) {
      assert.equal((await withdraw(...wrong)).status, EXIT.usage, wrong.join(' '))
    }
    assert.equal((await withdraw('--verb', 'burn')).status, EXIT.usage)
    assert.match((await withdraw('--verb', 'erase', '--here')).stdout, /on this node: 1 file, 2 B/)
    assert.match((await withdraw('--verb', 'restore', '--here')).stdout, /no longer erased/)
    assert.deepEqual((await withdraw('--verb', 'erase', '--here', '--json')).json(), {
      count: 1,
      bytes: 2,
    })
    assert.match((await run('gc')).stdout, /deleted 1 file, 2 B\n.*1 file, 3 B.*--now/)
    assert.match((await run('gc', '--now')).stdout, /^deleted 2 files, 2 B\n$/)
  })

  it('says which limits are met, who is shut out, and what is about to go', async () => {
    const { quotas: _, ...rest } = node.node()
    const [peer] = node.peers()
    const state = { peer: null, since: '2026-01-01T00:00:00.000Z', until: null } as const
    const until = '2026-01-02T00:00:00.000Z'
    const { publisher } = rest
    await serveWith({
      node: () => ({
        ...rest,
        quotas: [
          { ...state, publisher, kind: 'records', limit: 20_000, until, leftOut: 'its records' },
          { ...state, publisher: null, kind: 'disk', limit: 5e9, leftOut: 'files' },
          {
            ...state,
            publisher: null,
            peer: '12D3',
            kind: 'faults',
            limit: 20,
            until,
            leftOut: 'it',
          },
        ],
      }),
      peers: () => (peer === undefined ? [] : [{ ...peer, shutOutUntil: until }]),
      erasures: () => [
        {
          record: node.view.record,
          publisher,
          name: 'nuclei',
          version: '1.0.0',
          by: 'publisher',
          since: state.since,
          due: until,
          gone: false,
        },
      ],
    })
    const { stdout } = await run('status')
    for (const line of [
      `QUOTA: institute-a: 20000 records a day since ${state.since}; left out until ${until}: its records`,
      `QUOTA: this node: less than 5.00 GB of the disk free since ${state.since}; left out until there is room: files`,
      `QUOTA: 12D3: more than 20 faults a minute since ${state.since}; left out until ${until}: it`,
      `ERASED: institute-a/nuclei@1.0.0 by its publisher; its bytes go at ${until}`,
    ]) {
      assert(stdout.includes(`  ${line}\n`), `${line}\n${stdout}`)
    }
    assert.match((await run('peers')).stdout, /institute-a .*shut out until 2026-01-02T/)
  })

  it('shows a handle with its mark', async () => {
    assert.match((await run('status')).stdout, /handle +zoo.example.org \(verified\)/)
    const show = () => run('show', 'institute-a/nuclei')
    assert.match((await show()).stdout, /handle +zoo.example.org \(verified\)/)
    const handleProblem: Issue = { code: 'HANDLE', message: 'no document there', got: 404 }
    const publisher = { ...node.view.publisher, handleVerified: false, handleProblem }
    const ruled = { because: 'rule', roster: null, line: 3 } as const
    await serveWith({
      model: () => ({ ...node.view, publisher }),
      trust: () => ({ items: [{ ...ruled, publisher, own: false }], run: [], strangers: [] }),
    })
    assert.match((await show()).stdout, /handle +zoo.example.org \(not verified\)/)
    assert.match((await run('trust', 'list')).stdout, /zoo.example.org \(not verified\) /)
    const why = /zoo.example.org \(not verified\); last check: no document there: 404\n/
    assert.match((await show()).stdout, why)
    const [peer = assert.fail()] = node.peers()
    const exact = node.node()
    await serveWith({
      node: () => ({ ...exact, publisher }),
      peers: () => [{ ...peer, publisher: { ...publisher, petname: 'neighbour' } }],
      explainTrust: (ref) => ({
        ref,
        publisher,
        contested: false,
        model: null,
        rights: [],
        attestations: [],
      }),
    })
    assert.match((await run('status')).stdout, why)
    assert.match((await run('trust', 'explain', 'institute-a')).stdout, why)
    const peers = (await run('peers')).stdout
    assert.match(peers, why)
    assert.match(peers, /neighbour \(institute-a\)/)
  })

  it('shows and changes the profile', async () => {
    assert.match((await run('profile')).stdout, /^Institute A\n +label +institute-a\n/)
    const before = {
      label: 'institute-a',
      displayName: 'Institute A',
      handle: 'zoo.example.org',
      url: null,
      ror: '03mstc592',
    }
    assert.equal((await run('profile', 'set')).status, EXIT.ok)
    const named = await run('profile', 'set', '--name', 'B', '--handle', 'b.example', '--no-ror')
    assert.match(named.stderr, /https:\/\/b.example\/.well-known\/zoarium.json/)
    await run('profile', 'set', '--no-handle', '--ror', 'https://ror.org/03mstc592')
    await run('profile', 'set', '--label', 'b', '--page', 'https://b.example')
    assert.deepEqual(node.calls.profile, [
      before,
      { ...before, displayName: 'B', handle: 'b.example', ror: null },
      { ...before, handle: null },
      { ...before, label: 'b', url: 'https://b.example' },
    ])
  })

  it('passes a trust rule on', async () => {
    await run('trust', 'add', 'institute-b', 'run', '--send', '--petname', 'b')
    assert.deepEqual(node.calls.trust, [['institute-b', 'run', { petname: 'b', send: true }]])
  })

  it('shows a new token once, alone on stdout', async () => {
    const made = await run(
      'tokens',
      'add',
      '--scope',
      'read,infer',
      '--scope',
      'publish',
      '--days',
      '2',
    )
    assert.equal(made.stdout, 'zo_secret\n')
    assert.match(made.stderr, /read, infer, publish/)
    assert.equal((await run('tokens', 'revoke', 't1')).status, EXIT.ok)
    assert.equal((await run('tokens', 'revoke', 't9')).status, EXIT.notFound)
  })

  it('searches by words and filters', async () => {
    const found = await run(
      'search',
      'cell nuclei',
      '--axes',
      'yx',
      '--channels',
      '1',
      '--limit',
      '5',
    )
    assert.match(
      found.stdout,
      /^REF +TITLE +LICENSE +HERE +HANDLE\ninstitute-a\/nuclei@1.0.0 +Nuclei +MIT +runs +zoo.example.org \(verified\)\n$/,
    )
    const query = { text: 'cell nuclei', axes: 'yx', channels: 1, limit: 5 }
    assert.deepEqual(node.calls.search, [query])
    assert.equal((await run('search', '--axes', 'yq')).status, EXIT.invalidInput)
  })

  const stranger = (id: string, label: string | null): PublisherView => ({
    id: id as Cid,
    label,
    displayName: label === null ? null : 'An institute',
    petname: null,
    handle: null,
    handleVerified: false,
    handleProblem: null,
    right: 'see',
    send: false,
  })
  const empty = (unlisted: readonly PublisherView[]): ModelPageView => ({
    items: [],
    total: 0,
    next: null,
    unlisted,
  })

  it('leads from an empty catalogue to a trust rule', async () => {
    const unlisted = [
      stranger('idA', 'embl'),
      stranger('idB', 'twin'),
      stranger('idC', 'twin'),
      stranger('idD', '$(reboot)'),
      stranger('idE', null),
    ]
    await serveWith({ search: () => empty(unlisted) })
    const { status, stdout, stderr } = await run('search')
    assert.equal(status, EXIT.ok)
    assert.equal(stdout, '')
    assert.match(stderr, /5 publishers/)
    const commands = [...stderr.matchAll(/zoarium trust add (\S+) list/g)].map(([, name]) => name)
    assert.deepEqual(commands, ['embl', 'idB', 'idC', 'idD', 'idE'])
  })

  it('leads from an empty catalogue to a peer, or to a first model', async () => {
    await serveWith({ search: () => empty([]), peers: () => [] })
    assert.match((await run('search')).stderr, /zoarium peers add MULTIADDR/)
    await serveWith({ search: () => empty([]) })
    assert.match((await run('search')).stderr, /zoarium publish PATH/)
    assert.match((await run('search', 'words')).stderr, /No model fits/)
  })
})
