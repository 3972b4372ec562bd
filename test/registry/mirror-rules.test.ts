/** Mirror rules: how they are written, and what they say of a model. */
import assert from 'node:assert/strict'
import { cidOf } from '../../protocol/cid.ts'
import { expectOk } from '../../protocol/errors.ts'
import { MAX_PINS, MAX_RULE_WORDS } from '../../registry/mirror-reading.ts'
import {
  bytesOf,
  DEFAULT_MIRROR,
  decideMirror,
  MAX_FLOOR,
  type MirroredModel,
} from '../../registry/mirror-rules.ts'
import { memoryTrust, TrustBook } from '../../registry/trust-file.ts'
import { parseTrust } from '../../registry/trust-reading.ts'
import { TestPublisher, utf8 } from '../helpers/publisher.ts'

const [own, embl, crick] = ['own', 'embl', 'crick'].map(
  (name) => new TestPublisher(name).publisher,
) as [MirroredModel['publisher'], MirroredModel['publisher'], MirroredModel['publisher']]
const record = cidOf('dag-cbor', utf8('model'))
const model = (changes: Partial<MirroredModel> = {}): MirroredModel => ({
  record,
  publisher: embl,
  description: { tags: ['Nuclei', 'fluorescence'], license: 'CC-BY-4.0' },
  files: [
    { cid: cidOf('raw', utf8('a')), size: 100 },
    { cid: cidOf('raw', utf8('b')), size: 50 },
    { cid: cidOf('raw', utf8('a')), size: 100 },
  ],
  ...changes,
})
const read = (mirror: string) =>
  parseTrust(
    `version: 1\nrules:\n  - { publisher: ${embl}, right: mirror, petname: embl }\n${mirror}`,
    own,
  )
const rulesOf = (mirror: string) => expectOk(read(mirror)).mirror
const faultOf = (mirror: string): string | undefined => {
  const verdict = read(mirror)
  assert.ok(!verdict.ok, mirror)
  assert.equal(verdict.code, 'POLICY')
  return verdict.field
}
const fetchOf = (mirror: string, changes: Partial<MirroredModel> = {}): string => {
  const { fetch, because } = decideMirror(rulesOf(mirror), own, model(changes))
  return `${fetch} ${because}`
}

describe('registry/mirror-rules', () => {
  it('fetches everything that may be held where nothing is said', () => {
    assert.deepEqual(rulesOf(''), DEFAULT_MIRROR)
    assert.deepEqual(rulesOf('mirror: {}'), DEFAULT_MIRROR)
    assert.equal(fetchOf(''), 'always otherwise')
  })

  it('lets the first rule that fits decide', () => {
    const rules = `mirror:
  otherwise: never
  rules:
    - { publishers: [${crick}], fetch: never }
    - { publishers: [embl], tags: [cells, nuclei], fetch: demand, floor: 3 }
    - { fetch: always }
`
    assert.equal(fetchOf(rules), 'demand rule')
    assert.equal(fetchOf(rules, { publisher: crick }), 'never rule')
    assert.equal(fetchOf(rules, { description: { tags: [], license: null } }), 'always rule')
    const { floor, rule } = decideMirror(rulesOf(rules), own, model())
    assert.deepEqual([floor, rule?.line], [3, 8])
    assert.equal(decideMirror(rulesOf(rules), own, model({ publisher: crick })).floor, 2)
  })

  it('looks at tags and licences in either case, and at what takes room on disk', () => {
    const only = (condition: string): string =>
      fetchOf(`mirror: { otherwise: never, rules: [{ ${condition}, fetch: always }] }`)
    assert.equal(bytesOf(model().files), 150)
    for (const fits of ['tags: [NUCLEI]', 'licenses: [cc-by-4.0]', 'largest: 150']) {
      assert.equal(only(fits), 'always rule', fits)
    }
    for (const not of ['tags: [nucle]', 'tags: []', 'licenses: [MIT]', 'largest: 149']) {
      assert.equal(only(not), 'never otherwise', not)
    }
    const unlicensed = { description: { tags: [], license: null } }
    assert.equal(
      fetchOf(
        'mirror: { otherwise: never, rules: [{ licenses: [MIT], fetch: always }] }',
        unlicensed,
      ),
      'never otherwise',
    )
  })

  it('keeps what is own or pinned, whatever the rules say', () => {
    const never = 'mirror: { otherwise: never, rules: [{ fetch: never, floor: 5 }]'
    assert.equal(fetchOf(`${never} }`, { publisher: own }), 'always own')
    assert.equal(fetchOf(`${never}, pins: [${record}] }`), 'always pin')
    assert.equal(decideMirror(rulesOf(`${never} }`), own, model({ publisher: own })).floor, 5)
  })

  it('names each fault with its field', () => {
    const cases: readonly (readonly [string, string])[] = [
      ['mirror: []', 'mirror'],
      ['mirror: { keep: all }', 'mirror.keep'],
      ['mirror: { otherwise: sometimes }', 'mirror.otherwise'],
      ['mirror: { floor: -1 }', 'mirror.floor'],
      [`mirror: { floor: ${MAX_FLOOR + 1} }`, 'mirror.floor'],
      ['mirror: { rules: { fetch: always } }', 'mirror.rules'],
      ['mirror: { rules: [{}] }', 'mirror.rules[0].fetch'],
      ['mirror: { rules: [{ fetch: always, tag: nuclei }] }', 'mirror.rules[0].tag'],
      [
        'mirror: { rules: [{ fetch: always, publishers: [nobody] }] }',
        'mirror.rules[0].publishers[0]',
      ],
      ['mirror: { rules: [{ fetch: always, tags: nuclei }] }', 'mirror.rules[0].tags'],
      ['mirror: { rules: [{ fetch: always, licenses: [1] }] }', 'mirror.rules[0].licenses[0]'],
      ['mirror: { rules: [{ fetch: always, largest: 2 GB }] }', 'mirror.rules[0].largest'],
      ['mirror: { pins: [embl/nuclei] }', 'mirror.pins[0]'],
      [`mirror: { pins: [${record}, ${record}] }`, 'mirror.pins'],
    ]
    for (const [text, field] of cases) assert.equal(faultOf(text), field, text)
    assert.equal(rulesOf(`mirror: { floor: ${MAX_FLOOR} }`).floor, MAX_FLOOR)
    assert.equal(rulesOf('mirror: { floor: 0 }').floor, 0)
  })

  it('bounds words and pins, at the limit and one past it', () => {
    const words = (count: number): string =>
      `mirror: { rules: [{ fetch: always, tags: [${Array.from({ length: count }, (_, n) => `t${n}`)}] }] }`
    assert.equal(rulesOf(words(MAX_RULE_WORDS)).rules[0]?.tags?.length, MAX_RULE_WORDS)
    assert.equal(faultOf(words(MAX_RULE_WORDS + 1)), 'mirror.rules[0].tags')
    assert.equal(
      rulesOf(`mirror: { rules: [{ fetch: always, tags: [${'x'.repeat(256)}] }] }`).rules.length,
      1,
    )
    assert.equal(
      faultOf(`mirror: { rules: [{ fetch: always, tags: [${'x'.repeat(257)}] }] }`),
      'mirror.rules[0].tags[0]',
    )
    const pins = (count: number): string =>
      `mirror:\n  pins:\n${Array.from({ length: count }, (_, n) => `    - ${cidOf('dag-cbor', utf8(`${n}`))}\n`).join('')}`
    assert.equal(rulesOf(pins(MAX_PINS)).pins.length, MAX_PINS)
    assert.equal(faultOf(pins(MAX_PINS + 1)), 'mirror.pins')
  }).timeout(20_000)

  describe('pins', () => {
    it('are written beside what is there, with what they are', () => {
      const file = memoryTrust('# ours\nversion: 1\nrules: []\nmirror: { floor: 3 } # three\n')
      const book = new TrustBook(file, own)
      assert.equal(book.pin(record, 'embl/nuclei@1.0.0'), true)
      assert.equal(book.pin(record, 'embl/nuclei@1.0.0'), false)
      assert.deepEqual([book.policy.mirror.pins, book.policy.mirror.floor], [[record], 3])
      const text = file.read() ?? ''
      assert.match(text, /^# ours/)
      assert.ok(text.includes(`- ${record} # embl/nuclei@1.0.0`), text)
      assert.equal(book.unpin(record), true)
      assert.equal(book.unpin(record), false)
      assert.deepEqual(expectOk(parseTrust(file.read() ?? '', own)).mirror.pins, [])
      assert.equal(expectOk(parseTrust(file.read() ?? '', own)).mirror.floor, 3)
    })

    it('begin a part of their own where there is none', () => {
      const file = memoryTrust()
      const book = new TrustBook(file, own)
      book.pin(record, 'x')
      assert.deepEqual(new TrustBook(file, own).policy.mirror.pins, [record])
      book.set({ publisher: embl, right: 'run' })
      assert.deepEqual(book.policy.mirror.pins, [record])
    })
  })
})
