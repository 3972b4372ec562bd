import assert from 'node:assert/strict'
import { expectOk } from '../../protocol/errors.ts'
import { RIGHTS, type Right, TrustPolicy, type TrustRule } from '../../registry/trust.ts'
import {
  memoryTrust,
  parseTrust,
  TrustBook,
  withoutRule,
  withRule,
} from '../../registry/trust-file.ts'
import { TestPublisher } from '../helpers/publisher.ts'

const own = new TestPublisher('own').publisher
const embl = new TestPublisher('embl').publisher
const crick = new TestPublisher('crick').publisher

const rule = (publisher: TrustRule['publisher'], right: Right, more: Partial<TrustRule> = {}) => ({
  publisher,
  right,
  petname: null,
  send: false,
  ...more,
})

describe('registry/trust', () => {
  it('lets a stranger be seen, no more', () => {
    const policy = new TrustPolicy(own, [])
    assert.equal(policy.right(embl), 'see')
    assert(policy.may(embl, 'see'))
    for (const right of ['list', 'mirror', 'run'] as const) assert(!policy.may(embl, right))
    assert(!policy.maySend(embl))
  })

  it('lets the own publisher do everything, whatever the rules say', () => {
    const policy = new TrustPolicy(own, [rule(own, 'see')])
    assert(policy.may(own, 'run'))
    assert(policy.maySend(own))
  })

  it('includes in each right those before it', () => {
    for (const [n, right] of RIGHTS.entries()) {
      const policy = new TrustPolicy(own, [rule(embl, right)])
      const granted = RIGHTS.filter((each) => policy.may(embl, each))
      assert.deepEqual(granted, RIGHTS.slice(0, n + 1))
    }
  })

  it('sends input only where a rule says so, whatever the right', () => {
    assert(!new TrustPolicy(own, [rule(embl, 'run')]).maySend(embl))
    assert(new TrustPolicy(own, [rule(embl, 'list', { send: true })]).maySend(embl))
  })

  it('names the publishers with a right, the own one first', () => {
    const policy = new TrustPolicy(own, [rule(embl, 'list'), rule(crick, 'run')])
    assert.deepEqual(policy.with('see'), [own, embl, crick])
    assert.deepEqual(policy.with('mirror'), [own, crick])
  })

  it('explains itself: the rule that decides and the command that changes it', () => {
    const policy = new TrustPolicy(own, [rule(embl, 'list', { send: true })])
    assert.equal(policy.explain(own).because, 'own')
    assert.equal(policy.explain(own).change, null)
    const listed = policy.explain(embl)
    assert.deepEqual([listed.because, listed.right, listed.send], ['rule', 'list', true])
    assert.match(listed.message, /trust\.yaml grants "list"/)
    assert.equal(listed.change, `zoarium trust add ${embl} run`)
    const stranger = policy.explain(crick)
    assert.equal(stranger.because, 'default')
    assert.match(stranger.message, /neither listed nor fetched nor run/)
    assert.equal(stranger.rule, null)
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
      rule(embl, 'run', { petname: 'embl', send: true }),
      rule(crick, 'list'),
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

  it('refuses what is no such file', () => {
    for (const text of [
      '',
      '[]',
      'version',
      '{',
      '\t',
      'a: &x 1\nb: *x\n',
      'version: 1\nversion: 1\n',
    ]) {
      refusal(text)
    }
    refusal(`version: 1\nrules: []\n#${'x'.repeat(2 * 1024 * 1024)}`)
  })

  it('changes a rule and keeps what the operator wrote beside it', () => {
    const text = withRule(valid, { publisher: embl, right: 'mirror' })
    assert.match(text, /# our friends/)
    assert.match(text, /# Heidelberg/)
    const changed = expectOk(parseTrust(text, own))
    assert.deepEqual(changed.rule(embl), rule(embl, 'mirror', { petname: 'embl', send: true }))
    assert.deepEqual(changed.rule(crick), rule(crick, 'list'))
  })

  it('takes petname and sending away again', () => {
    const text = withRule(valid, { publisher: embl, right: 'run', petname: null, send: false })
    assert.deepEqual(expectOk(parseTrust(text, own)).rule(embl), rule(embl, 'run'))
  })

  it('removes a rule', () => {
    const policy = expectOk(parseTrust(withoutRule(valid, embl), own))
    assert.deepEqual(policy.rules, [rule(crick, 'list')])
  })

  describe('the book', () => {
    it('begins empty, and writes what is set', () => {
      const file = memoryTrust()
      const book = new TrustBook(file, own)
      assert.deepEqual(book.policy.rules, [])
      assert.deepEqual(book.set({ publisher: embl, right: 'list' }), rule(embl, 'list'))
      assert(book.policy.may(embl, 'list'))
      assert.deepEqual(new TrustBook(file, own).policy.rules, [rule(embl, 'list')])
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

    it('refuses to begin with a wrong file', () => {
      assert.throws(() => new TrustBook(memoryTrust('rules: []'), own), { code: 'POLICY' })
    })
  })
})
