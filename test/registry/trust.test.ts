import assert from 'node:assert/strict'
import { type Cid, cidOf } from '../../protocol/cid.ts'
import { expectOk, ZoariumError } from '../../protocol/errors.ts'
import { MAX_ROSTER_MEMBERS } from '../../protocol/limits.ts'
import {
  RIGHTS,
  type Right,
  type RosterRule,
  TrustPolicy,
  type TrustRule,
} from '../../registry/trust.ts'
import { withoutRoster, withoutRule, withRoster, withRule } from '../../registry/trust-editing.ts'
import { memoryTrust, TrustBook, type TrustFile } from '../../registry/trust-file.ts'
import { parseTrust } from '../../registry/trust-reading.ts'
import { TestPublisher, utf8 } from '../helpers/publisher.ts'

const own = new TestPublisher('own').publisher
const embl = new TestPublisher('embl').publisher
const crick = new TestPublisher('crick').publisher
const issuer = new TestPublisher('issuer').publisher

const rule = (publisher: TrustRule['publisher'], right: Right, more: Partial<TrustRule> = {}) => ({
  publisher,
  right,
  petname: null,
  send: false,
  line: null,
  ...more,
})
const roster = (members: readonly Cid[], more: Partial<RosterRule> = {}): RosterRule => ({
  publisher: issuer,
  name: 'imaging',
  right: 'mirror',
  members,
  bootstrap: [],
  line: null,
  ...more,
})
/** A policy of these rules and rosters. */
const policyOf = (rules: readonly TrustRule[], rosters: readonly RosterRule[] = []) =>
  new TrustPolicy(own, { rules, rosters })

describe('registry/trust', () => {
  it('lets a stranger be seen, no more', () => {
    const policy = policyOf([])
    assert.equal(policy.right(embl), 'see')
    assert(policy.may(embl, 'see'))
    for (const right of ['list', 'mirror', 'run'] as const) assert(!policy.may(embl, right))
    assert(!policy.maySend(embl))
  })

  it('lets the own publisher do everything, whatever the rules say', () => {
    const policy = policyOf([rule(own, 'see')])
    assert(policy.may(own, 'run'))
    assert(policy.maySend(own))
  })

  it('includes in each right those before it', () => {
    for (const [n, right] of RIGHTS.entries()) {
      const policy = policyOf([rule(embl, right)])
      const granted = RIGHTS.filter((each) => policy.may(embl, each))
      assert.deepEqual(granted, RIGHTS.slice(0, n + 1))
    }
  })

  it('sends input only where a rule says so, whatever the right', () => {
    assert(!policyOf([rule(embl, 'run')]).maySend(embl))
    assert(policyOf([rule(embl, 'list', { send: true })]).maySend(embl))
  })

  it('names the publishers with a right, the own one first', () => {
    const policy = policyOf([rule(embl, 'list'), rule(crick, 'run')])
    assert.deepEqual(policy.with('see'), [own, embl, crick])
    assert.deepEqual(policy.with('mirror'), [own, crick])
  })

  it('says what gives a right', () => {
    const listed = rule(embl, 'list', { send: true })
    const policy = policyOf([listed])
    assert.deepEqual(policy.grant(own).because, 'own')
    assert.deepEqual(policy.grant(embl), {
      right: 'list',
      because: 'rule',
      rule: listed,
      roster: null,
    })
    assert.deepEqual(policy.grant(crick).because, 'default')
  })

  describe('rosters', () => {
    const here =
      (...members: Cid[]) =>
      () =>
        members

    it('give their right to accepted members that they still name, and list their issuer', () => {
      const followed = roster([embl, crick])
      const policy = policyOf([], [followed]).narrowed(here(crick, own))
      assert.deepEqual(
        [policy.right(crick), policy.right(embl), policy.right(issuer)],
        ['mirror', 'see', 'list'],
      )
      assert.deepEqual(policy.grant(crick), {
        right: 'mirror',
        because: 'roster',
        rule: null,
        roster: followed,
      })
      assert.equal(policy.grant(issuer).because, 'issuer')
      assert.deepEqual(policy.with('list'), [own, crick, issuer])
      assert(!policy.maySend(crick))
    })

    it('give nothing while no roster of that name is known', () => {
      const policy = policyOf([], [roster([embl])])
      assert.deepEqual([policy.right(embl), policy.right(issuer)], ['see', 'list'])
    })

    it('give nothing that the operator has not accepted', () => {
      const policy = policyOf([], [roster([embl])]).narrowed(here(embl, crick))
      assert.equal(policy.right(crick), 'see')
    })

    it('give way to a rule that names the publisher, more or less as it may be', () => {
      const rosters = [roster([embl, crick], { right: 'mirror' })]
      const rules = [rule(embl, 'see'), rule(crick, 'run')]
      const policy = policyOf(rules, rosters).narrowed(here(embl, crick))
      assert.deepEqual([policy.right(embl), policy.right(crick)], ['see', 'run'])
      // The issuer is followed for as long as its roster is.
      assert.equal(policyOf([rule(issuer, 'see')], rosters).right(issuer), 'list')
      assert.equal(policyOf([rule(issuer, 'run')], rosters).right(issuer), 'run')
    })

    it('give the greatest of their rights', () => {
      const rosters = [
        roster([embl, issuer], { name: 'a', right: 'list' }),
        roster([embl, issuer], { name: 'b', right: 'run' }),
      ]
      const policy = policyOf([], rosters).narrowed(here(embl, issuer))
      assert.equal(policy.grant(embl).roster?.name, 'b')
      assert.equal(policy.right(issuer), 'run')
    })
  })
})

describe('registry/trust-file', () => {
  const valid = `# our friends
version: 1
rules:
  - publisher: ${embl} # Heidelberg
    right: run
    petname: embl
    send: true
  - publisher: ${crick}
    right: list
`
  const refusal = (text: string) => {
    const verdict = parseTrust(text, own)
    assert(!verdict.ok)
    assert.equal(verdict.code, 'POLICY')
    return verdict
  }

  it('reads rules', () => {
    const policy = expectOk(parseTrust(valid, own))
    assert.deepEqual(policy.rules, [
      rule(embl, 'run', { petname: 'embl', send: true, line: 4 }),
      rule(crick, 'list', { line: 8 }),
    ])
    assert.equal(policy.byPetname('embl'), embl)
    assert.equal(policy.petname(embl), 'embl')
  })

  it('names each fault with its field', () => {
    const cases: [string, string][] = [
      ['version: 2\nrules: []\n', 'version'],
      ['rules: []\n', 'version'],
      ['version: 1\n', 'rules'],
      ['version: 1\nrules: {}\n', 'rules'],
      ['version: 1\nrules: []\nrule: []\n', 'rule'],
      ['version: 1\nrules:\n  - embl\n', 'rules[0]'],
      ['version: 1\nrules:\n  - publisher: embl\n    right: run\n', 'rules[0].publisher'],
      [`version: 1\nrules:\n  - publisher: ${embl}\n    right: admin\n`, 'rules[0].right'],
      [`version: 1\nrules:\n  - publisher: ${embl}\n`, 'rules[0].right'],
      [
        `version: 1\nrules:\n  - publisher: ${embl}\n    right: run\n    send: 1\n`,
        'rules[0].send',
      ],
      [
        `version: 1\nrules:\n  - publisher: ${embl}\n    right: run\n    petname: E M\n`,
        'rules[0].petname',
      ],
      [
        `version: 1\nrules:\n  - publisher: ${embl}\n    right: run\n    until: 2027\n`,
        'rules[0].until',
      ],
    ]
    for (const [text, field] of cases) assert.equal(refusal(text).field, field, text)
  })

  it('lists all faults at once, with their lines', () => {
    const { issues = [] } = refusal(
      'version: 1\nrules:\n  - right: admin\n  - publisher: x\n    right: run\n',
    )
    assert.deepEqual(
      issues.map(({ field, line }) => [field, line]),
      [
        ['rules[0].publisher', 3],
        ['rules[0].right', 3],
        ['rules[1].publisher', 4],
      ],
    )
  })

  it('refuses two rules for one publisher or petname', () => {
    const one = `  - publisher: ${embl}\n    right: run\n`
    refusal(`version: 1\nrules:\n${one}${one}`)
    const named = (id: string) => `  - publisher: ${id}\n    right: run\n    petname: lab\n`
    refusal(`version: 1\nrules:\n${named(embl)}${named(crick)}`)
  })

  const address =
    '/dns4/zoo.example.org/tcp/7071/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'

  it('reads rosters and rules of running, and the petnames in them', () => {
    const policy = expectOk(
      parseTrust(
        `${valid}rosters:
  - publisher: ${issuer}
    name: imaging
    right: list
    members: [${embl}, ${crick}]
    bootstrap: [${address}]
  - publisher: ${issuer}
    name: other
    right: run
    members: []
run:
  - attested: 2
    of: [embl, ${crick}]
  - attested: 1
    of: [${crick}]
    publishers: [embl]
`,
        own,
      ),
    )
    assert.deepEqual(policy.rosters, [
      roster([embl, crick], { right: 'list', bootstrap: [address], line: 11 }),
      roster([], { name: 'other', right: 'run', line: 16 }),
    ])
    assert.deepEqual(policy.run, [
      { attested: 2, of: [embl, crick], publishers: null, line: 21 },
      { attested: 1, of: [crick], publishers: [embl], line: 23 },
    ])
  })

  it('names each fault of a roster or a rule of running with its field and line', () => {
    const rosterText = (field: string, value: string) => {
      const fields = { publisher: issuer, name: 'imaging', right: 'list', members: `[${embl}]` }
      const lines = Object.entries({ ...fields, [field]: value })
      return `version: 1\nrules: []\nrosters:\n  -\n${lines.map(([key, each]) => `    ${key}: ${each}\n`).join('')}`
    }
    const run = (text: string) => `version: 1\nrules: []\nrun:\n  - ${text}\n`
    const cases: [string, string, number][] = [
      ['version: 1\nrules: []\nrosters: {}\n', 'rosters', 3],
      ['version: 1\nrules: []\nrosters:\n  - imaging\n', 'rosters[0]', 4],
      [rosterText('publisher', 'issuer'), 'rosters[0].publisher', 5],
      [rosterText('name', 'Imaging'), 'rosters[0].name', 6],
      [rosterText('right', 'see'), 'rosters[0].right', 7],
      [rosterText('members', 'all'), 'rosters[0].members', 8],
      [rosterText('members', `[${embl}, crick]`), 'rosters[0].members[1]', 8],
      [rosterText('members', `[${embl}, ${embl}]`), 'rosters[0].members', 8],
      [rosterText('bootstrap', '[/ip4/192.0.2.1/tcp/1]'), 'rosters[0].bootstrap[0]', 9],
      [rosterText('until', '2027'), 'rosters[0].until', 9],
      [run(`of: [${embl}]`), 'run[0].attested', 4],
      [run('attested: 1'), 'run[0].of', 4],
      [run(`{attested: 2, of: [${embl}]}`), 'run[0].attested', 4],
      [run(`{attested: 0, of: [${embl}]}`), 'run[0].attested', 4],
      [run(`{attested: 1.5, of: [${embl}, ${crick}]}`), 'run[0].attested', 4],
      [run('{attested: 1, of: [embl]}'), 'run[0].of[0]', 4],
      [run(`{attested: 1, of: [${embl}], publishers: x}`), 'run[0].publishers', 4],
      [run(`{attested: 1, of: [${embl}], by: x}`), 'run[0].by', 4],
    ]
    for (const [text, field, line] of cases) {
      const { issues = [] } = refusal(text)
      assert.deepEqual([issues[0]?.field, issues[0]?.line], [field, line], text)
    }
    const twice = `  - {publisher: ${issuer}, name: imaging, right: list, members: []}\n`
    const { issues = [] } = refusal(`version: 1\nrules: []\nrosters:\n${twice}${twice}`)
    assert.deepEqual([issues[0]?.field, issues[0]?.line], ['rosters[1].name', 5])
  })

  it('bounds the members of a roster', () => {
    const members = (count: number) =>
      Array.from({ length: count }, (_, n) => cidOf('dag-cbor', utf8(`${n}`))).join(', ')
    const text = (count: number) =>
      `version: 1\nrules: []\nrosters:\n  - {publisher: ${issuer}, name: a, right: list, members: [${members(count)}]}\n`
    expectOk(parseTrust(text(MAX_ROSTER_MEMBERS), own))
    assert.equal(refusal(text(MAX_ROSTER_MEMBERS + 1)).field, 'rosters[0].members')
  })

  it('writes a roster beside what is there, and over itself', () => {
    const first = withRoster(valid, roster([embl], { bootstrap: [address] }))
    assert.match(first, /# our friends/)
    assert.deepEqual(
      expectOk(parseTrust(first, own)).rosters.map(({ line: _, ...each }) => each),
      [{ ...roster([embl], { bootstrap: [address] }), line: undefined }].map(
        ({ line: _, ...each }) => each,
      ),
    )
    const second = withRoster(first, roster([crick], { right: 'run' }))
    const { rosters } = expectOk(parseTrust(second, own))
    assert.deepEqual(
      rosters.map(({ right, members, bootstrap }) => [right, members, bootstrap]),
      [['run', [crick], []]],
    )
  })

  it('leaves the lines of others as they are', () => {
    const run = `run:\n  - { attested: 1, of: [ embl, ${crick} ], publishers: [ ${issuer}, ${crick} ] }\n`
    const followed = withRoster(`${valid}${run}`, roster([embl]))
    assert(followed.includes(run), followed)
    assert.equal(withoutRoster(followed, issuer, 'imaging'), `${valid}${run}rosters: []\n`)
  })

  it('refuses what is no such file', () => {
    for (const text of [
      '',
      '[]',
      'version',
      '{',
      '\t',
      'a: &x 1\nb: *x\n',
      'version: 1\nversion: 1\n',
      `version: 1\nrules:\n  - publisher: &id ${embl}\n    right: see\n  - {publisher: *id, right: run}\n`,
      `version: 1\nrules: ${'&a [*a, '.repeat(3)}${']'.repeat(3)}\n`,
      'version: 1\nrules: !all []\n',
    ]) {
      refusal(text)
    }
    // Six lines that a reader of aliases would write out as 10^6 rules.
    const bomb = [...'bcdef'].map(
      (name, n) => `${name}: &${name} [${`*${'abcde'[n]},`.repeat(10)}]`,
    )
    refusal(['version: 1', `a: &a [${'{},'.repeat(10)}]`, ...bomb, 'rules: *f'].join('\n'))
    refusal(`version: 1\nrules: []\n#${'x'.repeat(2 * 1024 * 1024)}`)
  })

  it('changes a rule and keeps what the operator wrote beside it', () => {
    const text = withRule(valid, { publisher: embl, right: 'mirror' })
    assert.match(text, /# our friends/)
    assert.match(text, /# Heidelberg/)
    const changed = expectOk(parseTrust(text, own))
    const expected = rule(embl, 'mirror', { petname: 'embl', send: true, line: 4 })
    assert.deepEqual(changed.rule(embl), expected)
    assert.deepEqual(changed.rule(crick), rule(crick, 'list', { line: 8 }))
  })

  it('takes petname and sending away again', () => {
    const text = withRule(valid, { publisher: embl, right: 'run', petname: null, send: false })
    assert.deepEqual(expectOk(parseTrust(text, own)).rule(embl), rule(embl, 'run', { line: 4 }))
  })

  it('removes a rule', () => {
    const policy = expectOk(parseTrust(withoutRule(valid, embl), own))
    assert.deepEqual(policy.rules, [rule(crick, 'list', { line: 4 })])
  })

  describe('the book', () => {
    it('begins empty, and writes what is set', () => {
      const file = memoryTrust()
      const book = new TrustBook(file, own)
      assert.deepEqual(book.policy.rules, [])
      const set = rule(embl, 'list', { line: 4 })
      assert.deepEqual(book.set({ publisher: embl, right: 'list' }), set)
      assert(book.policy.may(embl, 'list'))
      assert.deepEqual(new TrustBook(file, own).policy.rules, [set])
      assert.match(file.read() ?? '', /^version: 1$/m)
    })

    it('keeps what was edited by hand in the meantime', () => {
      const file = memoryTrust()
      const book = new TrustBook(file, own)
      file.write(valid)
      book.set({ publisher: crick, right: 'run' })
      assert.equal(book.policy.right(embl), 'run')
    })

    it('changes nothing where the file has become wrong', () => {
      const file = memoryTrust(valid)
      const book = new TrustBook(file, own)
      file.write('version: 9\n')
      assert.throws(() => book.set({ publisher: crick, right: 'run' }), { code: 'POLICY' })
      assert.equal(file.read(), 'version: 9\n')
      assert.equal(book.policy.right(crick), 'list')
    })

    it('refuses a petname that is taken', () => {
      const book = new TrustBook(memoryTrust(valid), own)
      const change = { publisher: crick, right: 'run', petname: 'embl' } as const
      assert.throws(() => book.set(change), { code: 'POLICY' })
      assert.equal(book.policy.right(crick), 'list')
    })

    it('has no rules for the own publisher', () => {
      const book = new TrustBook(memoryTrust(), own)
      assert.throws(() => book.set({ publisher: own, right: 'see' }), { code: 'USAGE' })
    })

    it('says whether there was a rule to remove', () => {
      const book = new TrustBook(memoryTrust(valid), own)
      assert.equal(book.remove(embl), true)
      assert.equal(book.remove(embl), false)
      assert.equal(book.policy.right(embl), 'see')
    })

    it('follows a roster, and follows it no more', () => {
      const book = new TrustBook(memoryTrust(valid), own)
      book.follow(roster([embl]))
      assert.equal(book.policy.right(issuer), 'list')
      assert.equal(book.unfollow(issuer, 'other'), false)
      assert.equal(book.unfollow(issuer, 'imaging'), true)
      assert.deepEqual(book.policy.rosters, [])
      assert.equal(book.policy.right(embl), 'run')
    })

    it('takes in a changed file, and keeps the rules where it is wrong', () => {
      const file = memoryTrust(valid)
      const book = new TrustBook(file, own)
      assert.equal(book.reload(), false)
      file.write(`version: 1\nrules:\n  - publisher: ${embl}\n    right: admin\n`)
      assert.equal(book.reload(), true)
      assert.equal(book.reload(), false)
      assert.deepEqual([book.fault?.field, book.fault?.issues?.[0]?.line], ['rules[0].right', 4])
      assert.equal(book.policy.right(embl), 'run')
      file.write(`version: 1\nrules:\n  - publisher: ${embl}\n    right: list\n`)
      assert.equal(book.reload(), true)
      assert.equal(book.fault, null)
      assert.equal(book.policy.right(embl), 'list')
    })

    it('keeps the rules where the file cannot be read', () => {
      let isBroken = false
      const kept = memoryTrust(valid)
      const file: TrustFile = {
        read: () => {
          if (isBroken) throw new ZoariumError('STORE', 'cannot be read')
          return kept.read()
        },
        write: kept.write,
      }
      const book = new TrustBook(file, own)
      isBroken = true
      assert.equal(book.reload(), true)
      assert.equal(book.reload(), false)
      assert.equal(book.fault?.code, 'STORE')
      assert.equal(book.policy.right(embl), 'run')
      isBroken = false
      assert.equal(book.reload(), true)
      assert.equal(book.fault, null)
    })

    it('keeps the rules where the file is gone', () => {
      let text: string | null = valid
      const book = new TrustBook({ read: () => text, write: () => {} }, own)
      text = null
      assert.equal(book.reload(), true)
      assert.match(book.fault?.message ?? '', /gone/)
      assert.equal(book.policy.right(embl), 'run')
      assert.throws(() => book.set({ publisher: crick, right: 'run' }), { code: 'POLICY' })
    })

    it('refuses to begin with a wrong file', () => {
      assert.throws(() => new TrustBook(memoryTrust('rules: []'), own), { code: 'POLICY' })
    })
  })
})
