import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type DaemonOptions,
  DEFAULT_HTTP,
  DEFAULT_LISTEN,
  DEFAULT_MIRROR_BYTES,
  DEFAULT_TURN_SECONDS,
  DEFAULT_WORD_SECONDS,
  readConfig,
} from '../../daemon/config.ts'
import { SCRUB_BYTES_PER_SECOND } from '../../daemon/scrub.ts'
import type { Code, ZoariumError } from '../../protocol/errors.ts'
import { DEFAULT_QUOTAS } from '../../registry/quotas.ts'
import { temporaryFolder } from '../helpers/folder.ts'

describe('daemon/config', () => {
  const folder = '/data'
  const read = (text: string, flags: Partial<DaemonOptions> = {}) => {
    const path = join(temporaryFolder(), 'config.yaml')
    writeFileSync(path, text)
    return readConfig(path, { folder, ...flags })
  }
  const refused = (text: string, field: string | undefined, message = /./): ZoariumError => {
    let error: unknown
    try {
      read(text)
    } catch (thrown) {
      error = thrown
    }
    const { code, data } = error as ZoariumError
    assert.deepEqual([code, data.field], ['CONFIG' satisfies Code, field], text)
    assert.match(String(error), message)
    return error as ZoariumError
  }

  it('is all defaults where there is no file, and where it is empty', () => {
    const defaults = {
      folder,
      http: {
        listen: [DEFAULT_HTTP],
        tls: null,
        behindProxy: false,
        hosts: [],
        publicUrl: null,
        proxies: [],
      },
      network: {
        listen: [DEFAULT_LISTEN],
        announce: [],
        dialPorts: [],
        peers: [],
        mdns: true,
        dht: true,
      },
      mirror: {
        follow: true,
        maxBytes: DEFAULT_MIRROR_BYTES,
        tell: true,
        turnSeconds: DEFAULT_TURN_SECONDS,
        wordSeconds: DEFAULT_WORD_SECONDS,
      },
      inference: { acceptRemote: true, residency: [] },
      web: { allowPrivate: [] },
      keys: { renew: true },
      quotas: DEFAULT_QUOTAS,
      scrub: { bytesPerSecond: SCRUB_BYTES_PER_SECOND },
      logLevel: 'info',
      isAlone: false,
    }
    assert.deepEqual(readConfig(join(temporaryFolder(), 'none.yaml'), { folder }), defaults)
    for (const text of ['', '# nothing yet\n', '{}', 'http:\nmirror: ~\n']) {
      assert.deepEqual(read(text), defaults, text)
    }
  })

  const full = `
http:
  listen: ["[::1]:1", "10.0.0.1:443"]
  tls: { cert: c.pem, key: k.pem }
  behindProxy: true
  hosts: [zoo.example.org]
  publicUrl: https://zoo.institute-a.example
  proxies: [10.0.0.0/24]
network:
  listen: [/ip4/0.0.0.0/tcp/1]
  announce: [/ip4/192.0.2.1/tcp/1]
  dialPorts: [443, 65535]
  peers: [/ip4/10.0.0.2/tcp/1]
  mdns: false
  dht: false
mirror: { follow: false, maxBytes: 0, tell: false, turnSeconds: 1, wordSeconds: 604800 }
inference: { acceptRemote: false, residency: ["country:DE"] }
web: { allowPrivate: [zoo.example.org] }
keys: { renew: false }
quotas: { recordsPerDay: 5, modelsPerPublisher: 6, bytesPerPublisher: 7, diskFreePercent: 8 }
scrub: { bytesPerSecond: 9 }
logLevel: debug
`

  it('takes every field from the file', () => {
    assert.deepEqual(read(full), {
      folder,
      http: {
        listen: ['[::1]:1', '10.0.0.1:443'],
        tls: { cert: 'c.pem', key: 'k.pem' },
        behindProxy: true,
        hosts: ['zoo.example.org'],
        publicUrl: 'https://zoo.institute-a.example',
        proxies: ['10.0.0.0/24'],
      },
      network: {
        listen: ['/ip4/0.0.0.0/tcp/1'],
        announce: ['/ip4/192.0.2.1/tcp/1'],
        dialPorts: [443, 65535],
        peers: ['/ip4/10.0.0.2/tcp/1'],
        mdns: false,
        dht: false,
      },
      mirror: { follow: false, maxBytes: 0, tell: false, turnSeconds: 1, wordSeconds: 604800 },
      inference: { acceptRemote: false, residency: ['country:DE'] },
      web: { allowPrivate: ['zoo.example.org'] },
      keys: { renew: false },
      quotas: { recordsPerDay: 5, modelsPerPublisher: 6, bytesPerPublisher: 7, diskFreePercent: 8 },
      scrub: { bytesPerSecond: 9 },
      logLevel: 'debug',
      isAlone: false,
    })
  })

  it('lays flags over the file, and adds their peers', () => {
    const tls = { cert: 'flag.pem', key: 'flag.key' }
    const { http, network, mirror, logLevel } = read(full, {
      http: ['127.0.0.1:2'],
      listen: [],
      peers: ['/ip4/10.0.0.3/tcp/1'],
      tls,
      behindProxy: false,
      publicUrl: 'https://flag.example',
      mdns: true,
      dht: true,
      follow: true,
      logLevel: 'silent',
    })
    assert.deepEqual(http, {
      listen: ['127.0.0.1:2'],
      tls,
      behindProxy: false,
      hosts: ['zoo.example.org'],
      publicUrl: 'https://flag.example',
      proxies: ['10.0.0.0/24'],
    })
    assert.deepEqual(network, {
      listen: [],
      announce: ['/ip4/192.0.2.1/tcp/1'],
      dialPorts: [443, 65535],
      peers: ['/ip4/10.0.0.2/tcp/1', '/ip4/10.0.0.3/tcp/1'],
      mdns: true,
      dht: true,
    })
    assert.deepEqual([mirror.follow, mirror.maxBytes, logLevel], [true, 0, 'silent'])
  })

  it('checks also what a flag replaces', () => {
    assert.throws(() => read('logLevel: loud', { logLevel: 'info' }), { code: 'CONFIG' })
  })

  it('names the field of a value of the wrong kind, with what it got', () => {
    const cases: [text: string, field: string, got: string][] = [
      ['[]', '', '[]'],
      ['text', '', '"text"'],
      ['http: []', 'http', '[]'],
      ['http: { listen: 127.0.0.1:7070 }', 'http.listen', '"127.0.0.1:7070"'],
      ['http: { hosts: [1] }', 'http.hosts', '[1]'],
      ['http: { behindProxy: "yes" }', 'http.behindProxy', '"yes"'],
      ['http: { tls: c.pem }', 'http.tls', '"c.pem"'],
      ['http: { tls: { cert: 7, key: k } }', 'http.tls.cert', '7'],
      ['quotas: { diskFreePercent: 101 }', 'quotas.diskFreePercent', '101'],
      ['quotas: { recordsPerDay: -1 }', 'quotas.recordsPerDay', '-1'],
      ['mirror: { maxBytes: 1.5 }', 'mirror.maxBytes', '1.5'],
      ['mirror: { maxBytes: -1 }', 'mirror.maxBytes', '-1'],
      ['mirror: { turnSeconds: 0 }', 'mirror.turnSeconds', '0'],
      ['mirror: { turnSeconds: 86401 }', 'mirror.turnSeconds', '86401'],
      ['mirror: { wordSeconds: 0 }', 'mirror.wordSeconds', '0'],
      ['mirror: { wordSeconds: 604801 }', 'mirror.wordSeconds', '604801'],
      ['mirror: { maxBytes: 100 GiB }', 'mirror.maxBytes', '"100 GiB"'],
      ['web: { allowPrivate: [10.0.0.1] }', 'web.allowPrivate', '["10.0.0.1"]'],
      ['logLevel: loud', 'logLevel', '"loud"'],
    ]
    for (const [text, field, got] of cases) assert.equal(refused(text, field).data.got, got, text)
    const long = refused(`logLevel: ${'x'.repeat(1000)}`, 'logLevel')
    assert.equal(String(long.data.got).length, 80)
  })

  it('refuses unknown fields wherever they stand, and lists the known ones', () => {
    assert.match(String(refused('htp: {}', 'htp').data.limit), /http, network, mirror/)
    refused('network: { peer: [] }', 'network.peer')
    refused('http: { tls: { cert: a, key: b, ca: c } }', 'http.tls.ca')
    refused('"": 1', '')
    refused('__proto__: 1', '__proto__')
  })

  it('wants both halves of TLS or none', () => {
    refused('http: { tls: { cert: c.pem } }', 'http.tls.key', /both/)
    refused('http: { tls: { key: k.pem } }', 'http.tls.cert', /both/)
    assert.equal(read('http: { tls: {} }').http.tls, null)
  })

  it('takes only ports for ports', () => {
    const text = (dialPorts: unknown) => JSON.stringify({ network: { dialPorts } })
    assert.deepEqual(read(text([1])).network.dialPorts, [1])
    for (const wrong of [[0], [65_536], ['443'], [1.5], 443]) {
      refused(text(wrong), 'network.dialPorts')
    }
  })

  it('takes only labels of residency that a heartbeat can carry', () => {
    const labels = Array.from({ length: 8 }, () => 'x'.repeat(64))
    const text = (residency: unknown) => JSON.stringify({ inference: { residency } })
    assert.deepEqual(read(text(labels)).inference.residency, labels)
    const wrong: unknown[] = [
      [...labels, 'y'],
      ['x'.repeat(65)],
      [''],
      ['Zürich'],
      ['a\nb'],
      'country:DE',
    ]
    for (const each of wrong) refused(text(each), 'inference.residency')
  })

  it('refuses what is no YAML, and aliases, which could grow without bound', () => {
    refused('http: [', undefined, /not valid YAML/)
    refused('logLevel: !mine info', undefined, /not valid YAML.*tag/i)
    refused('%ODD 1\n---\nlogLevel: info', undefined, /not valid YAML.*directive/i)
    refused('logLevel: info\nlogLevel: debug\n', undefined, /unique/)
    refused('a: &a [x]\nhttp: { hosts: *a }\n', undefined, /alias/i)
    const bomb = Array.from({ length: 20 }, (_, i) =>
      i === 0 ? 'a0: &a0 [x, x]' : `a${i}: &a${i} [${Array(9).fill(`*a${i - 1}`)}]`,
    )
    const error = refused(bomb.join('\n'), undefined, /not valid YAML/)
    assert.equal(error.message.includes('\n'), false)
  })

  it('says when the file cannot be read', () => {
    assert.throws(() => readConfig(temporaryFolder(), { folder }), { code: 'CONFIG' })
  })
})
