/** Institutes that become a colony by a roster, with real daemons. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NodeProcess } from '../../cli/colony.ts'
import { environmentOf, projectPath, runCommand } from '../../cli/colony.ts'
import type {
  JoinView,
  LeaveView,
  NodeView,
  PublishView,
  Right,
  RosterView,
  StatementView,
  TrustView,
} from '../../protocol/api.ts'
import type { Cid } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { HEAD_LIFE_MS } from '../../protocol/limits.ts'
import { writeRosterCar } from '../../protocol/roster-car.ts'
import { temporaryFolder } from '../helpers/folder.ts'
import { TestPublisher } from '../helpers/publisher.ts'
import { Colony, clientOf, eventually, until, zoarium, zoariumJson } from './colony.ts'

const example = projectPath('docs', 'examples', 'nuclei-unet')
const DAY_MS = 24 * 3600 * 1000

/** A certificate for this machine and its key, as files; null without openssl. */
function makeCertificate(): { readonly cert: string; readonly key: string } | null {
  const folder = temporaryFolder()
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const name = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1']
  const out = ['-keyout', key, '-out', cert, '-days', '2']
  try {
    execFileSync('openssl', ['req', '-x509', ...curve, ...name, ...out], { stdio: 'ignore' })
    return { cert, key }
  } catch {
    return null
  }
}

describe('e2e/joining', () => {
  const colony = new Colony()
  let a: NodeProcess
  let b: NodeProcess
  let c: NodeProcess
  let d: NodeProcess
  let roster: RosterView
  let file: string

  before(async () => {
    a = await colony.node('Institute A')
    b = await colony.node('Institute B')
    c = await colony.node('Institute C')
    d = await colony.node('Institute D', [a])
    file = join(await colony.folder(), 'imaging.car')
  })
  after(() => colony.stop())

  const rightAt = async (node: NodeProcess, publisher: string): Promise<Right> => {
    const { items } = await clientOf(node).trust()
    return items.find((each) => each.publisher.id === publisher)?.publisher.right ?? 'see'
  }
  const set = (...args: string[]) => zoariumJson<RosterView>(a, 'roster', 'set', 'imaging', ...args)

  it('issues a roster, which gives its issuer nothing until it joins itself', async () => {
    const [address = ''] = a.addresses
    roster = await set('--member', b.publisher, '--member', c.publisher, '--bootstrap', address)
    assert.deepEqual(
      roster.members.map(({ id }) => id),
      [b.publisher, c.publisher].sort(),
    )
    assert.equal(await rightAt(a, b.publisher), 'see')
    const args = ['join', roster.record ?? '']
    const { code, stderr } = await zoarium(a, ...args)
    assert.equal(code, 2, stderr)
    assert.match(stderr, /--yes/)
    assert.equal(await rightAt(a, b.publisher), 'see')
    assert.equal((await zoarium(a, ...args, '--yes')).code, 0)
    assert.equal(await rightAt(a, b.publisher), 'mirror')
  })

  it('takes in an institute by the address of a node, without a token', async () => {
    const url = `${a.url}/v1/rosters/${a.publisher}/imaging.car`
    const { code, stdout, stderr } = await zoarium(b, 'join', url, '--yes')
    assert.equal(code, 0, stderr)
    assert.match(stdout, /fingerprint +[a-z2-7]{4}( [a-z2-7]{4}){3}/)
    assert.match(stdout, new RegExp(`mirror +this roster +new +${c.publisher}`))
    assert.match(stdout, /connected to \/ip4/)
    assert.deepEqual(
      [await rightAt(b, a.publisher), await rightAt(b, c.publisher), await rightAt(b, b.publisher)],
      ['list', 'mirror', 'run'],
    )
  })

  it('takes in an institute over https, where the certificate is one that it trusts', async function () {
    const certificate = makeCertificate()
    if (certificate === null) {
      console.log('skipped: openssl is not there to make a certificate')
      return this.skip()
    }
    const { cert, key } = certificate
    const issuer = await colony.node('Issuer', [], ['--tls-cert', cert, '--tls-key', key])
    const env = { ...environmentOf(issuer), NODE_EXTRA_CA_CERTS: cert }
    const made = await runCommand(['roster', 'set', 'safe', '--member', b.publisher], env)
    assert.equal(made.code, 0, made.stderr)
    const url = `${issuer.url}/v1/rosters/${issuer.publisher}/safe.car`
    assert.match(url, /^https:/)
    const args = ['join', url, '--yes']
    const blind = await zoarium(b, ...args)
    assert.equal(blind.code, 6, blind.stderr)
    assert.match(blind.stderr, /UNREACHABLE/)
    const seeing = { ...environmentOf(b), NODE_EXTRA_CA_CERTS: cert }
    const joined = await runCommand(args, seeing)
    assert.equal(joined.code, 0, joined.stderr)
    assert.equal((await zoarium(b, 'leave', 'safe')).code, 0)
  })

  it('takes in an institute by a file', async () => {
    assert.equal((await zoarium(a, 'roster', 'export', 'imaging', file)).code, 0)
    const view = await zoariumJson<JoinView>(c, 'join', file, '--yes')
    assert.deepEqual([view.publisher.id, view.right, view.dryRun], [a.publisher, 'mirror', false])
    assert.deepEqual(
      view.bootstrap.map(({ connected }) => connected),
      [true],
    )
  })

  it('lists and mirrors among its members what one of them publishes', async () => {
    const view = await zoariumJson<PublishView>(b, 'publish', example)
    for (const node of [a, c]) {
      await eventually(node, async () => {
        const { items } = await clientOf(node).search({ q: 'nuclei' })
        return items.some(({ record, held }) => record === view.record && held)
      })
    }
    const run = await zoarium(c, 'run', view.record ?? '', join(example, 'test_input.npy'))
    assert.equal(run.code, 5, 'a roster that is joined gives no right to run')
    assert.match(run.stderr, /TRUST.*\n.*zoarium trust add/)
    const why = (await zoarium(c, 'trust', 'explain', view.record ?? '')).stdout
    assert.match(why, /mirror +yes +the roster imaging of institute-a gives its members "mirror"/)
  })

  it('runs what enough institutions attest, though their own rules let nobody run', async () => {
    const policy = join(c.folder, 'trust.yaml')
    const rule = `run:\n  - {attested: 1, of: [${a.publisher}], publishers: [${b.publisher}]}\n`
    writeFileSync(policy, `${readFileSync(policy, 'utf8')}${rule}`)
    const [model] = (await clientOf(c).search({ q: 'nuclei' })).items
    const record = model?.record ?? ''
    const out = join(await colony.folder(), 'out.npy')
    const run = () => zoarium(c, 'run', record, join(example, 'test_input.npy'), '-o', out)
    await until(async () =>
      (await zoarium(c, 'trust', 'explain', record)).stdout.includes('0 of 1'),
    )
    assert.match((await run()).stderr, /no rule lets it run: 0 of the 1 publishers/)
    const { record: word } = await zoariumJson<StatementView>(a, 'attest', record)
    const done = await eventually(c, async () => {
      const { code, stderr } = await run()
      return code === 0 ? { stderr } : null
    })
    assert.ok(done)
    const why = (await zoarium(c, 'trust', 'explain', record)).stdout
    assert.match(
      why,
      /run +yes +1 \(institute-a\) of 1 publishers vouch for it, 1 needed \(line \d+/,
    )
    assert.match(why, /institute-a +reproduced +yes +a run rule names its publisher/)
    assert.ok(word)
  })

  it('asks connected peers for the id of a roster or its issuer', async () => {
    const byRecord = await zoarium(d, 'join', roster.record ?? '', '--yes')
    assert.equal(byRecord.code, 0, byRecord.stderr)
    assert.equal(await rightAt(d, b.publisher), 'mirror')
    const left = await zoariumJson<LeaveView>(d, 'leave', 'imaging')
    assert.deepEqual(
      left.members.map(({ before, publisher }) => [before, publisher.right]).sort(),
      [
        ['list', 'see'],
        ['mirror', 'see'],
        ['mirror', 'see'],
      ],
    )
    const byIssuer = await zoariumJson<JoinView>(d, 'join', a.publisher, '--yes')
    assert.equal(byIssuer.record, roster.record)
    const nothing = await zoarium(d, 'join', c.publisher, '--yes')
    assert.equal(nothing.code, 3, nothing.stderr)
  })

  it('narrows at once where a member is left out, and lets an added one wait', async () => {
    await set('--remove', c.publisher, '--member', d.publisher)
    await eventually(b, async () => (await rightAt(b, c.publisher)) === 'see')
    assert.equal(await rightAt(b, d.publisher), 'see')
    const status = (await zoarium(b, 'status')).stdout
    assert.match(
      status,
      /ROSTER: 1 member waits to be accepted in imaging of institute-a; zoarium join --accept imaging/,
    )
    const node = await zoariumJson<NodeView>(b, 'status')
    assert.deepEqual(
      node.rosters.map(({ state, waiting }) => [state, waiting]),
      [['OK', 1]],
    )
    const { code, stdout, stderr } = await zoarium(b, 'join', '--accept', '--yes')
    assert.equal(code, 0, stderr)
    assert.match(stdout, new RegExp(`no member any more: institute-c +${c.publisher}`))
    assert.equal(await rightAt(b, d.publisher), 'mirror')
    assert.match((await zoarium(b, 'join', '--accept', '--yes')).stdout, /no member waits/)
  })

  it('refuses a file that the newer roster has made old, and one whose head has expired', async () => {
    const old = await zoarium(b, 'join', file, '--yes')
    assert.equal(old.code, 5, old.stderr)
    assert.match(old.stderr, /STALE/)

    const issuer = new TestPublisher('long-ago', Date.now() - 60 * DAY_MS)
    const signed = issuer.roster('old-friends', [b.publisher as Cid])
    const head = issuer.head(signed, Date.now() - 8 * DAY_MS, HEAD_LIFE_MS)
    const { operations } = issuer
    const stale = `${file}.stale`
    writeFileSync(stale, expectOk(writeRosterCar({ operations, head, roster: signed.envelope })))
    const { code, stderr } = await zoarium(b, 'join', stale, '--yes')
    assert.equal(code, 5, stderr)
    assert.match(stderr, /STALE[\s\S]*hint: ask the issuer/)
    assert.equal((await clientOf(b).rosters()).length, 1)
  })

  it('refuses what is no roster, and addresses that anybody could answer', async () => {
    const bytes = readFileSync(file)
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    writeFileSync(`${file}.bent`, bytes)
    const cases: [string, number, RegExp][] = [
      [`${file}.bent`, 7, /CONTENT_MISMATCH/],
      [`${file}.none`, 3, /NOT_FOUND/],
      [join(example, 'rdf.yaml'), 7, /not a CAR file/],
      ['http://192.0.2.1/imaging.car', 2, /only https/],
      [`${a.url}/v1/rosters/${a.publisher}/other.car`, 3, /NOT_FOUND/],
      [`${a.url}/healthz`, 4, /MEDIA_TYPE/],
      ['https://127.0.0.1:1/imaging.car', 6, /UNREACHABLE/],
    ]
    for (const [source, status, expected] of cases) {
      const { code, stderr } = await zoarium(b, 'join', source, '--yes')
      assert.match(stderr, expected, source)
      assert.equal(code, status, source)
    }
  })

  it('connects to the addresses of the roster again after a restart', async () => {
    const { folder } = d
    await d.stop()
    d = await colony.start(folder)
    await until(async () =>
      (await clientOf(d).peers()).some(({ publisher, connected }) => {
        return publisher?.id === a.publisher && connected
      }),
    )
  })

  it('takes in the policy file while it runs, and keeps the rules where it is wrong', async () => {
    const policy = join(b.folder, 'trust.yaml')
    const text = readFileSync(policy, 'utf8')
    writeFileSync(policy, text.replace('right: mirror', 'right: everything'))
    const issue = await until(async () => (await clientOf(b).node()).warnings[0])
    assert.deepEqual([issue.code, issue.field], ['POLICY', 'rosters[0].right'])
    assert.match(
      (await zoarium(b, 'status')).stdout,
      /POLICY: trust.yaml line \d+: rosters\[0\].right must be one of/,
    )
    assert.equal(await rightAt(b, d.publisher), 'mirror')
    writeFileSync(policy, text.replace('right: mirror', 'right: list'))
    await until(async () => (await rightAt(b, d.publisher)) === 'list')
    assert.deepEqual((await clientOf(b).node()).warnings, [])
    const { items } = await zoariumJson<TrustView>(b, 'trust', 'list')
    const { because, roster: from } = items.find((each) => each.publisher.id === d.publisher) ?? {}
    assert.deepEqual([because, from?.name], ['roster', 'imaging'])
  })

  it('gives nobody anything once its issuer withdraws it', async () => {
    assert.equal((await zoarium(a, 'roster', 'withdraw', 'imaging')).code, 0)
    await eventually(b, async () => (await rightAt(b, d.publisher)) === 'see')
    assert.match(
      (await zoarium(b, 'status')).stdout,
      /ROSTER: imaging of institute-a was withdrawn/,
    )
    const { code, stderr } = await zoarium(c, 'join', a.publisher, '--yes')
    assert.equal(code, 3, stderr)
    assert.equal((await zoarium(b, 'leave', 'imaging')).code, 0)
    assert.deepEqual((await zoariumJson<{ items: RosterView[] }>(b, 'roster')).items, [])
  })
})
