import assert from 'node:assert/strict'
import { fromHex } from '../../protocol/bytes.ts'
import { type CborValue, encode } from '../../protocol/cbor.ts'
import { cidFromDigest, cidOf, linkOf } from '../../protocol/cid.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { folderCid } from '../../protocol/folder.ts'
import {
  LEAF_BYTES,
  MAX_ALIASES,
  MAX_ATTEST_BYTES,
  MAX_ATTEST_FIELDS,
  MAX_BLOB_BYTES,
  MAX_CARD_BYTES,
  MAX_FILES,
  MAX_MULTIADDR_CHARS,
  MAX_NOTE_CHARS,
  MAX_PARENTS,
  MAX_PATH_BYTES,
  MAX_REPLACES,
  MAX_ROSTER_BOOTSTRAP,
  MAX_ROSTER_MEMBERS,
} from '../../protocol/limits.ts'
import {
  type ModelFile,
  type RecordBody,
  type RecordKind,
  readBody,
  writeBody,
} from '../../protocol/record-body.ts'
import { fileOf, TestPublisher, utf8 } from '../helpers/publisher.ts'

type Fields = Record<string, CborValue>

const outcome = (kind: RecordKind, body: CborValue) => {
  const verdict = readBody(kind, body)
  return verdict.ok ? ['ok'] : [verdict.code, verdict.field]
}
const codes = (kind: RecordKind, valid: Fields, field: string, ...values: CborValue[]) =>
  values.map((value) => outcome(kind, { ...valid, [field]: value }).join(' '))

const record = cidOf('dag-cbor', utf8('a record'))
const links = (count: number): CborValue[] =>
  Array.from({ length: count }, (_, i) => linkOf(cidOf('dag-cbor', utf8(`${i}`))))

const { signed } = new TestPublisher('institute').model({
  name: 'nuclei',
  aliases: ['affable-shark'],
})
assert(signed.record.kind === 'model')
const model = signed.record.body

/** The body of a model with these files, its root computed. */
function modelOf(files: readonly ModelFile[], changes: Fields = {}): CborValue {
  const folder = folderCid(files)
  const root = folder.ok ? folder.value : model.root
  return {
    ...(writeBody({ kind: 'model', body: { ...model, files, root } }) as Fields),
    ...changes,
  }
}
const many = (count: number): ModelFile[] => {
  const text = (n: number) =>
    fileOf(`f${String(n).padStart(4, '0')}`, utf8(`${n}`), 'other', 'text/plain')
  return [...Array.from({ length: count - model.files.length }, (_, n) => text(n)), ...model.files]
}

const PEER = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'

describe('protocol/record-body', () => {
  it('reads what it writes', () => {
    const bodies: RecordBody[] = [
      { kind: 'model', body: model },
      {
        kind: 'model',
        body: {
          ...model,
          parents: [{ record, relation: 'converted' }],
          origin: {
            scheme: 'bioimage.io',
            id: 'affable-shark',
            version: '1',
            url: 'https://bioimage.io',
            sha256: 'ab'.repeat(32),
          },
        },
      },
      {
        kind: 'withdraw',
        body: { target: record, verb: 'recall', reason: 'wrong-output', note: 'Größe' },
      },
      { kind: 'tag', body: { name: 'nuclei', tag: 'stable', target: record, replaces: [record] } },
      {
        kind: 'profile',
        body: {
          label: 'embl',
          displayName: 'EMBL',
          handle: 'embl.de',
          url: 'https://www.embl.de/',
          ror: '03mstc592',
          replaces: [],
        },
      },
      { kind: 'attest', body: { target: record, root: model.root, claim: 'reproduced' } },
      {
        kind: 'attest',
        body: { target: record, root: model.root, claim: 'to-come', worst: [1, -3], note: 'x' },
      },
      {
        kind: 'roster',
        body: {
          name: 'imaging',
          members: [record],
          right: 'run',
          bootstrap: [`/dns4/zoo.example.org/tcp/7071/p2p/${PEER}`],
          replaces: [record],
        },
      },
    ]
    for (const body of bodies) {
      assert.deepEqual(readBody(body.kind, writeBody(body)), { ok: true, value: body })
    }
  })

  describe('model', () => {
    const valid = writeBody({ kind: 'model', body: model }) as Fields
    const bad = (field: string, ...values: CborValue[]) => codes('model', valid, field, ...values)

    it('keeps names and versions to their grammar', () => {
      const hidden = ['a\u202eb', 'a\0', 'x'.repeat(200_000)]
      assert.deepEqual(
        bad('name', 'U-Net', '', 'a/b', 'x'.repeat(65), '\u001b[31m', ...hidden, 7),
        [...new Array(8).fill('NAME body.name'), 'RECORD_INVALID body.name'],
      )
      assert.deepEqual(
        bad('version', 'latest', '', '1 0', `1${'0'.repeat(64)}`),
        new Array(4).fill('NAME body.version'),
      )
    })

    it('takes only the codecs that each link may have', () => {
      const [raw, folder] = [linkOf(cidOf('raw', utf8(''))), linkOf(cidOf('dag-pb', utf8('')))]
      assert.deepEqual(bad('card', linkOf(record)), ['CID_PROFILE body.card'])
      assert.deepEqual(bad('root', raw, linkOf(record)), [
        'CID_PROFILE body.root',
        'CID_PROFILE body.root',
      ])
      assert.deepEqual(bad('parents', [{ record: folder, relation: 'revised' }]), [
        'CID_PROFILE body.parents[0].record',
      ])
    })

    it('refuses a folder that is so full that the profile would shard it', () => {
      const [card, weights] = model.files as [ModelFile, ModelFile]
      const many = Array.from({ length: MAX_FILES - 1 }, (_, i) => ({
        ...weights,
        path: `${String(i).padStart(4, '0')}${'x'.repeat(MAX_PATH_BYTES - 4)}`,
      }))
      const body = writeBody({ kind: 'model', body: { ...model, files: [...many, card] } })
      const verdict = readBody('model', body)
      assert.deepEqual(verdict.ok || [verdict.code, verdict.field], ['LIMIT', 'body.files'])
    })

    it('wants the card among the files, once', () => {
      const [card, weights] = model.files as [ModelFile, ModelFile]
      const broken = ['RECORD_INVALID', 'body.card']
      assert.deepEqual(outcome('model', modelOf([weights])), broken)
      assert.deepEqual(outcome('model', modelOf([card, { ...weights, role: 'card' }])), broken)
      assert.deepEqual(
        outcome('model', modelOf(model.files, { card: linkOf(weights.cid) })),
        broken,
      )
      assert.deepEqual(outcome('model', modelOf([])), broken)
    })

    it('bounds the card', () => {
      assert.equal(MAX_CARD_BYTES, LEAF_BYTES)
      const large = {
        ...(model.files[0] as ModelFile),
        cid: cidOf('dag-pb', utf8('')),
        size: MAX_CARD_BYTES + 1,
      }
      assert.deepEqual(outcome('model', modelOf([large])), ['RECORD_INVALID', 'body.card'])
    })

    it('wants files in the order of their paths, each path once and harmless', () => {
      const [card, weights] = model.files as [ModelFile, ModelFile]
      assert.deepEqual(outcome('model', modelOf([weights, card])), [
        'RECORD_INVALID',
        'body.files[1].path',
      ])
      assert.equal(outcome('model', modelOf([card, card]))[0], 'NAME_CLASH')
      const renamed = (path: string) => outcome('model', modelOf([card, { ...weights, path }]))[0]
      assert.equal(renamed('zz/../../etc/passwd'), 'PATH')
      assert.equal(renamed('RDF.yaml'), 'NAME_CLASH')
      assert.equal(renamed('z\u202egnp.exe'), 'PATH')
      assert.equal(renamed('ze\u0301'), 'NFC')
      assert.equal(renamed(`z${'x'.repeat(300)}`), 'RECORD_INVALID')
    })

    it('holds the two hashes of a file of one leaf against each other', () => {
      const [card, weights] = model.files as [ModelFile, ModelFile]
      const changed = (changes: Partial<ModelFile>) =>
        outcome('model', modelOf([card, { ...weights, ...changes }]))
      const broken = ['RECORD_INVALID', 'body.files[1].cid']
      assert.deepEqual(changed({ sha256: 'ab'.repeat(32) }), broken)
      assert.deepEqual(changed({ cid: cidOf('dag-pb', utf8('')) }), broken)
      assert.deepEqual(changed({ size: LEAF_BYTES + 1 }), broken)
      const large = { cid: cidOf('dag-pb', utf8('')), sha256: 'ab'.repeat(32) }
      assert.deepEqual(changed({ ...large, size: LEAF_BYTES + 1 }), ['ok'])
      assert.deepEqual(changed({ ...large, size: MAX_BLOB_BYTES }), ['ok'])
      assert.deepEqual(changed({ ...large, size: MAX_BLOB_BYTES + 1 }), [
        'RECORD_INVALID',
        'body.files[1].size',
      ])
    })

    it('wants the root to be the folder of the files', () => {
      const other = linkOf(cidFromDigest('dag-pb', sha256(utf8('other'))))
      assert.deepEqual(bad('root', other), ['CONTENT_MISMATCH body.root'])
    })

    it('names the field of a file that is wrong', () => {
      const files = valid.files as Fields[]
      const changed = (changes: Fields) =>
        outcome('model', { ...valid, files: [files[0] as Fields, { ...files[1], ...changes }] })
      assert.deepEqual(changed({ sha256: 'text' }), ['RECORD_INVALID', 'body.files[1].sha256'])
      assert.deepEqual(changed({ role: 'virus' }), ['RECORD_INVALID', 'body.files[1].role'])
      assert.deepEqual(changed({ size: -1 }), ['RECORD_INVALID', 'body.files[1].size'])
      assert.deepEqual(changed({ mediaType: 'text/html; charset=x' }), [
        'RECORD_INVALID',
        'body.files[1].mediaType',
      ])
      assert.deepEqual(changed({ mode: 0o777 }), ['UNKNOWN_FIELD', 'body.files[1].mode'])
      assert.deepEqual(changed({ cid: linkOf(record) }), ['CID_PROFILE', 'body.files[1].cid'])
    })

    it('bounds files, aliases and parents, at the limit and one past it', () => {
      assert.deepEqual(outcome('model', modelOf(many(MAX_FILES))), ['ok'])
      assert.deepEqual(outcome('model', modelOf(many(MAX_FILES + 1))), ['LIMIT', 'body.files'])
      const aliases = (count: number) => Array.from({ length: count }, (_, i) => `alias ${i}`)
      const parents = (count: number) =>
        links(count).map((record) => ({ record, relation: 'revised' }))
      assert.deepEqual(bad('aliases', aliases(MAX_ALIASES), aliases(MAX_ALIASES + 1)), [
        'ok',
        'LIMIT body.aliases',
      ])
      assert.deepEqual(bad('parents', parents(MAX_PARENTS), parents(MAX_PARENTS + 1)), [
        'ok',
        'LIMIT body.parents',
      ])
    })

    it('takes aliases that people can read, each once', () => {
      assert.deepEqual(
        bad(
          'aliases',
          ['a', 'a'],
          [''],
          [' a'],
          ['a\n'],
          ['x\u202ey'],
          ['e\u0301'],
          ['x'.repeat(257)],
        ),
        [
          'RECORD_INVALID body.aliases',
          ...new Array(4).fill('NAME body.aliases[0]'),
          'NFC body.aliases[0]',
          'LIMIT body.aliases[0]',
        ],
      )
      assert.deepEqual(
        bad('aliases', ['10.5281/zenodo.5764892', 'x'.repeat(256), 'Zellkörper 核']),
        ['ok'],
      )
    })

    it('knows how a model may be tested', () => {
      assert.deepEqual(bad('tested', 'reproduced', 'untested', 'yes'), [
        'ok',
        'ok',
        'RECORD_INVALID body.tested',
      ])
    })
  })

  it('bounds withdrawals', () => {
    const valid: Fields = { target: linkOf(record), verb: 'yank', reason: 'licence', note: '' }
    const bad = (field: string, ...values: CborValue[]) =>
      codes('withdraw', valid, field, ...values)
    assert.deepEqual(bad('note', 'x'.repeat(MAX_NOTE_CHARS), '😀'.repeat(MAX_NOTE_CHARS)), [
      'ok',
      'ok',
    ])
    assert.deepEqual(bad('note', 'x'.repeat(MAX_NOTE_CHARS + 1), '😀'.repeat(MAX_NOTE_CHARS + 1)), [
      'LIMIT body.note',
      'LIMIT body.note',
    ])
    assert.deepEqual(bad('note', 'a\u001b[2Jb', 'x'.repeat(1e6), 'e\u0301'), [
      'NAME body.note',
      'LIMIT body.note',
      'NFC body.note',
    ])
    assert.deepEqual(bad('verb', 'erase', 'delete'), ['ok', 'RECORD_INVALID body.verb'])
    assert.deepEqual(bad('reason', '', 'Because!'), new Array(2).fill('RECORD_INVALID body.reason'))
    assert.deepEqual(bad('target', linkOf(cidOf('raw', utf8('')))), ['CID_PROFILE body.target'])
  })

  it('bounds tags', () => {
    const valid: Fields = { name: 'nuclei', tag: 'stable', target: linkOf(record), replaces: [] }
    const bad = (field: string, ...values: CborValue[]) => codes('tag', valid, field, ...values)
    assert.deepEqual(bad('tag', 'latest', '1.0', 'Stable', ''), new Array(4).fill('NAME body.tag'))
    assert.deepEqual(
      bad('replaces', links(MAX_REPLACES), links(MAX_REPLACES + 1), [...links(1), ...links(1)]),
      ['ok', 'LIMIT body.replaces', 'RECORD_INVALID body.replaces'],
    )
  })

  it('bounds profiles', () => {
    const valid: Fields = {
      label: 'embl',
      displayName: 'EMBL',
      handle: null,
      url: null,
      ror: null,
      replaces: [],
    }
    const bad = (field: string, ...values: CborValue[]) => codes('profile', valid, field, ...values)
    assert.deepEqual(bad('label', 'EMBL', '', 'x'.repeat(41)), new Array(3).fill('NAME body.label'))
    assert.deepEqual(bad('displayName', 'x'.repeat(100), 'x'.repeat(101), 'a\u2066b'), [
      'ok',
      'LIMIT body.displayName',
      'NAME body.displayName',
    ])
    assert.deepEqual(bad('handle', 'embl.de', 'localhost', '127.0.0.1', 'EMBL.de', 'a..de'), [
      'ok',
      ...new Array(4).fill('RECORD_INVALID body.handle'),
    ])
    assert.deepEqual(
      bad('url', 'https://x.org', 'http://x.org', 'javascript:alert(1)', 'https://x.org/ä'),
      ['ok', ...new Array(3).fill('RECORD_INVALID body.url')],
    )
    assert.deepEqual(bad('ror', '03mstc592', 'https://ror.org/03mstc592', '03mstc59l'), [
      'ok',
      ...new Array(2).fill('RECORD_INVALID body.ror'),
    ])
  })

  it('keeps attestations to their common fields, and the others to their bounds', () => {
    const body = { target: record, root: model.root, claim: 'reproduced' }
    const valid = writeBody({ kind: 'attest', body }) as Fields
    const bad = (field: string, ...values: CborValue[]) => codes('attest', valid, field, ...values)
    assert.deepEqual(bad('target', linkOf(record), linkOf(model.card), record), [
      'ok',
      'CID_PROFILE body.target',
      'RECORD_INVALID body.target',
    ])
    assert.deepEqual(bad('root', linkOf(model.root), linkOf(record), null), [
      'ok',
      'CID_PROFILE body.root',
      'RECORD_INVALID body.root',
    ])
    assert.deepEqual(bad('claim', 'to-come', 'x'.repeat(40), 'x'.repeat(41), 'Poll', 7), [
      'ok',
      'ok',
      ...new Array(3).fill('RECORD_INVALID body.claim'),
    ])
    for (const field of ['target', 'root', 'claim']) {
      const { [field]: _, ...rest } = valid
      assert.deepEqual(outcome('attest', rest), ['RECORD_INVALID', `body.${field}`])
    }
    assert.deepEqual(outcome('attest', { ...valid, 'a b': 1 }), ['RECORD_INVALID', 'body.a b'])
    const fields = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`field${n}`, n]))
    assert.deepEqual(outcome('attest', { ...valid, ...fields(MAX_ATTEST_FIELDS - 3) }), ['ok'])
    assert.deepEqual(outcome('attest', { ...valid, ...fields(MAX_ATTEST_FIELDS - 2) }), [
      'LIMIT',
      'body',
    ])
    const size = (length: number) => encode({ ...valid, note: 'x'.repeat(length) }).length
    const room = MAX_ATTEST_BYTES - (size(10_000) - 10_000)
    assert.deepEqual(bad('note', 'x'.repeat(room), 'x'.repeat(room + 1)), ['ok', 'LIMIT body'])
  })

  it('keeps rosters to their fields', () => {
    const body = { name: 'imaging', members: [], right: 'list', bootstrap: [], replaces: [] }
    const valid: Fields = body
    const bad = (field: string, ...values: CborValue[]) => codes('roster', valid, field, ...values)
    assert.deepEqual(bad('name', 'imaging-2026', 'Imaging', 'x'.repeat(41)), [
      'ok',
      'NAME body.name',
      'NAME body.name',
    ])
    assert.deepEqual(bad('right', 'list', 'mirror', 'run', 'see', 'admin'), [
      ...new Array(3).fill('ok'),
      ...new Array(2).fill('RECORD_INVALID body.right'),
    ])
    const members = (count: number) =>
      Array.from({ length: count }, (_, n) => cidOf('dag-cbor', utf8(`${n}`)))
        .sort()
        .map(linkOf)
    const [first = null, second = null] = members(2)
    assert.deepEqual(
      bad(
        'members',
        members(MAX_ROSTER_MEMBERS),
        members(MAX_ROSTER_MEMBERS + 1),
        [second, first],
        [first, first],
        [linkOf(model.card)],
      ),
      [
        'ok',
        'LIMIT body.members',
        'RECORD_INVALID body.members[1]',
        'RECORD_INVALID body.members[1]',
        'CID_PROFILE body.members[0]',
      ],
    )
    const at = (host: string) => `/dns4/${host}/tcp/7071/p2p/${PEER}`
    const hosts = (count: number) => Array.from({ length: count }, (_, n) => at(`h${n}`))
    const long = (length: number) => at('x'.repeat(length - at('').length))
    assert.deepEqual(
      bad(
        'bootstrap',
        hosts(MAX_ROSTER_BOOTSTRAP),
        hosts(MAX_ROSTER_BOOTSTRAP + 1),
        [at('a'), at('a')],
        [long(MAX_MULTIADDR_CHARS)],
        [long(MAX_MULTIADDR_CHARS + 1)],
        ['/ip4/192.0.2.1/tcp/7071'],
        [`/p2p/${PEER}`],
        [`//p2p/${PEER}`],
        [`/ip4/192.0.2.1 /p2p/${PEER}`],
        [`https://zoo.example.org/p2p/${PEER}`],
      ),
      [
        'ok',
        'LIMIT body.bootstrap',
        'RECORD_INVALID body.bootstrap',
        'ok',
        ...new Array(6).fill('RECORD_INVALID body.bootstrap[0]'),
      ],
    )
    assert.deepEqual(bad('replaces', links(MAX_REPLACES), links(MAX_REPLACES + 1)), [
      'ok',
      'LIMIT body.replaces',
    ])
    assert.deepEqual(outcome('roster', { ...valid, note: '' }), ['UNKNOWN_FIELD', 'body.note'])
  })

  it('refuses values of other types', () => {
    for (const kind of ['model', 'withdraw', 'tag', 'profile', 'attest', 'roster'] as const) {
      for (const value of [null, 1, 'text', [], fromHex('00'), linkOf(record)]) {
        assert.deepEqual(outcome(kind, value), ['RECORD_INVALID', 'body'])
      }
    }
  })
})
