/**
 * The node's configuration: defaults <- config.yaml <- flags, checked whole before anything opens.
 */
import { readFileSync } from 'node:fs'
import { parseDocument } from 'yaml'
import { ZoariumError } from '../protocol/errors.ts'
import { HEARTBEAT_LABEL, MAX_RESIDENCY } from '../protocol/heartbeat.ts'
import { MAX_HOLDINGS_MS } from '../protocol/limits.ts'
import { DEFAULT_QUOTAS, type QuotaLimits } from '../registry/quotas.ts'
import { LOG_LEVELS, type LogLevel } from './log.ts'
import { SCRUB_BYTES_PER_SECOND } from './scrub.ts'

export interface Config {
  /** The data folder. */
  readonly folder: string
  readonly http: {
    /** `HOST:PORT`, port 0 for any. */
    readonly listen: readonly string[]
    /** PEM files, or null for plain HTTP. */
    readonly tls: { readonly cert: string; readonly key: string } | null
    /** A reverse proxy in front speaks TLS. */
    readonly behindProxy: boolean
    /** Host names besides the listen addresses that requests may name. */
    readonly hosts: readonly string[]
    /** The https URL under which others reach this port, through a reverse proxy say; or null. */
    readonly publicUrl: string | null
    /** Reverse proxies whose `X-Forwarded-For` is believed: IP addresses or networks. */
    readonly proxies: readonly string[]
  }
  readonly network: {
    /** libp2p multiaddrs. */
    readonly listen: readonly string[]
    /** Multiaddrs at which others reach this node besides those and the public URL. */
    readonly announce: readonly string[]
    /** TCP ports that are dialled where the operator named no address; none: all. */
    readonly dialPorts: readonly number[]
    /** Peers that are dialled and redialled for ever, multiaddrs with a PeerId. */
    readonly peers: readonly string[]
    readonly mdns: boolean
    readonly dht: boolean
  }
  readonly mirror: {
    /** Fetch the files of every model of publishers with `mirror` or more. */
    readonly follow: boolean
    /** Bytes of files on this node, own ones included, above which nothing is fetched. */
    readonly maxBytes: number
    /** How long a model lacks copies before the first node fills one, and each one after it, seconds. */
    readonly turnSeconds: number
    /** Tell others which models this node holds; false: it is not counted, and fills nothing up. */
    readonly tell: boolean
    /** How long others count what this node said it holds when it is not heard any more, seconds. */
    readonly wordSeconds: number
  }
  readonly inference: {
    /** Run requests of other nodes whose publisher has `list` or more here. */
    readonly acceptRemote: boolean
    /** E.g. `country:DE`; declared by the operator, and called so. */
    readonly residency: readonly string[]
  }
  readonly scrub: {
    /** Bytes that are read and hashed a second when all files are gone through; 0: never. */
    readonly bytesPerSecond: number
  }
  readonly web: {
    /**
     * Hosts of handles and profiles that may have private addresses: those of this institute's own
     * network.
     */
    readonly allowPrivate: readonly string[]
  }
  readonly keys: {
    /** Renew the device keys of this machine in time, where it has enough root keys. */
    readonly renew: boolean
  }
  /** How much a publisher may bring, and how full the disk may become. */
  readonly quotas: QuotaLimits
  readonly logLevel: LogLevel
  /** Nobody holds more of the own logs than this node: a word of one start, never of a file. */
  readonly isAlone: boolean
}

/** Also a name without a dot, of an institute's own network; no IP address. RFC 1123. */
const HOST_NAME =
  /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/

export const DEFAULT_HTTP = '127.0.0.1:7070'
export const DEFAULT_LISTEN = '/ip4/0.0.0.0/tcp/7071'
/** 200 GiB: what a member may ask of the others. */
export const DEFAULT_MIRROR_BYTES = 200 * 1024 ** 3

/** Five minutes: a model that was just published spreads by itself meanwhile. */
export const DEFAULT_TURN_SECONDS = 300
/** A day. */
export const MAX_TURN_SECONDS = 24 * 3600
/** Three days: a machine that is off over a weekend makes nobody copy what it holds. */
export const DEFAULT_WORD_SECONDS = 3 * 24 * 3600
export const MAX_WORD_SECONDS = MAX_HOLDINGS_MS / 1000

/** Flags of `zoarium daemon`; each replaces what the file says, but peers, which are added. */
export interface DaemonOptions {
  readonly folder: string
  readonly http?: readonly string[]
  readonly listen?: readonly string[]
  readonly peers?: readonly string[]
  readonly publicUrl?: string
  readonly tls?: { readonly cert: string; readonly key: string }
  readonly behindProxy?: boolean
  readonly mdns?: boolean
  readonly dht?: boolean
  readonly follow?: boolean
  readonly isAlone?: boolean
  readonly logLevel?: LogLevel
}

/** Reads `path` (absent: all defaults) and lays the flags over it. @throws ZoariumError CONFIG */
export function readConfig(path: string, flags: DaemonOptions): Config {
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new ZoariumError('CONFIG', "couldn't read config.yaml", {}, error)
    }
  }
  return withFlags(readFile(flags.folder, readYaml(text)), flags)
}

/** Tags, directives and anchors that the library only warns of are not what was meant. */
function readYaml(text: string): unknown {
  const document = parseDocument(text, { logLevel: 'error' })
  const [fault] = [...document.errors, ...document.warnings]
  const fail = (reason: string): ZoariumError =>
    new ZoariumError('CONFIG', `config.yaml is not valid YAML: ${reason.split('\n')[0]}`)
  if (fault !== undefined) throw fail(fault.message)
  try {
    return document.toJS({ maxAliasCount: 0 }) ?? {}
  } catch (error) {
    throw fail((error as Error).message)
  }
}

/** The whole file is checked, also where a flag replaces a field. */
function readFile(folder: string, root: unknown): Config {
  const file = new Section('', root)
  const http = file.section('http')
  const network = file.section('network')
  const mirror = file.section('mirror')
  const inference = file.section('inference')
  const web = file.section('web')
  const keys = file.section('keys')
  const quotas = file.section('quotas')
  const scrub = file.section('scrub')
  const config: Config = {
    folder,
    http: {
      listen: http.texts('listen', [DEFAULT_HTTP]),
      tls: readTls(http),
      behindProxy: http.flag('behindProxy', false),
      hosts: http.texts('hosts', []),
      publicUrl: http.text('publicUrl'),
      proxies: http.texts('proxies', []),
    },
    network: {
      listen: network.texts('listen', [DEFAULT_LISTEN]),
      announce: network.texts('announce', []),
      dialPorts: readPorts(network),
      peers: network.texts('peers', []),
      mdns: network.flag('mdns', true),
      dht: network.flag('dht', true),
    },
    mirror: {
      follow: mirror.flag('follow', true),
      maxBytes: mirror.integer('maxBytes', DEFAULT_MIRROR_BYTES),
      tell: mirror.flag('tell', true),
      turnSeconds: mirror.within('turnSeconds', 1, MAX_TURN_SECONDS, DEFAULT_TURN_SECONDS),
      wordSeconds: mirror.within('wordSeconds', 1, MAX_WORD_SECONDS, DEFAULT_WORD_SECONDS),
    },
    inference: {
      acceptRemote: inference.flag('acceptRemote', true),
      residency: readResidency(inference),
    },
    web: { allowPrivate: readHosts(web) },
    keys: { renew: keys.flag('renew', true) },
    quotas: readQuotas(quotas),
    scrub: { bytesPerSecond: scrub.integer('bytesPerSecond', SCRUB_BYTES_PER_SECOND) },
    logLevel: file.oneOf('logLevel', LOG_LEVELS, 'info'),
    isAlone: false,
  }
  for (const section of [http, network, mirror, inference, web, keys, quotas, scrub, file])
    section.finish()
  return config
}

function withFlags(config: Config, flags: DaemonOptions): Config {
  const { http, network, mirror } = config
  return {
    ...config,
    http: {
      ...http,
      listen: flags.http ?? http.listen,
      publicUrl: flags.publicUrl ?? http.publicUrl,
      tls: flags.tls ?? http.tls,
      behindProxy: flags.behindProxy ?? http.behindProxy,
    },
    network: {
      ...network,
      listen: flags.listen ?? network.listen,
      peers: [...network.peers, ...(flags.peers ?? [])],
      mdns: flags.mdns ?? network.mdns,
      dht: flags.dht ?? network.dht,
    },
    mirror: { ...mirror, follow: flags.follow ?? mirror.follow },
    logLevel: flags.logLevel ?? config.logLevel,
    isAlone: flags.isAlone ?? false,
  }
}

function readPorts(network: Section): readonly number[] {
  const ports = network.list('dialPorts')
  const isPort = (port: unknown): port is number =>
    Number.isInteger(port) && Number(port) >= 1 && Number(port) <= 65_535
  if (ports.every(isPort)) return ports
  throw network.wrong('dialPorts', 'a list of port numbers', ports)
}

/** Labels that fit a heartbeat. */
function readResidency(inference: Section): readonly string[] {
  const labels = inference.texts('residency', [])
  if (labels.length <= MAX_RESIDENCY && labels.every((label) => HEARTBEAT_LABEL.test(label))) {
    return labels
  }
  const rule = `at most ${MAX_RESIDENCY} labels of 1 to 64 printable ASCII characters`
  throw inference.wrong('residency', rule, labels)
}

function readHosts(section: Section): readonly string[] {
  const hosts = section.texts('allowPrivate', [])
  if (hosts.every((host) => HOST_NAME.test(host))) return hosts
  throw section.wrong('allowPrivate', 'a list of host names in lower case', hosts)
}

function readQuotas(section: Section): QuotaLimits {
  const { recordsPerDay, modelsPerPublisher, bytesPerPublisher, diskFreePercent } = DEFAULT_QUOTAS
  const percent = section.integer('diskFreePercent', diskFreePercent)
  if (percent > 100) throw section.wrong('diskFreePercent', 'a percentage', percent)
  return {
    recordsPerDay: section.integer('recordsPerDay', recordsPerDay),
    modelsPerPublisher: section.integer('modelsPerPublisher', modelsPerPublisher),
    bytesPerPublisher: section.integer('bytesPerPublisher', bytesPerPublisher),
    diskFreePercent: percent,
  }
}

function readTls(http: Section): Config['http']['tls'] {
  const tls = http.section('tls')
  const cert = tls.text('cert')
  const key = tls.text('key')
  tls.finish()
  if (cert === null && key === null) return null
  if (cert === null || key === null) {
    throw new ZoariumError('CONFIG', 'TLS needs both a certificate and a key', {
      field: cert === null ? 'http.tls.cert' : 'http.tls.key',
    })
  }
  return { cert, key }
}

/** One mapping of the file; remembers which fields were asked for, so that typos are found. */
class Section {
  readonly #path: string
  readonly #fields: Record<string, unknown>
  readonly #known = new Set<string>()

  constructor(path: string, value: unknown) {
    this.#path = path
    if (value === undefined || value === null) this.#fields = {}
    else if (typeof value === 'object' && !Array.isArray(value)) {
      this.#fields = value as Record<string, unknown>
    } else throw this.wrong('', 'a mapping', value)
  }

  #field(name: string): string {
    return [this.#path, name].filter((part) => part !== '').join('.')
  }

  wrong(name: string, expected: string, got: unknown): ZoariumError {
    const field = this.#field(name)
    return new ZoariumError('CONFIG', `config.yaml: ${field || 'the file'} must be ${expected}`, {
      field,
      got: JSON.stringify(got)?.slice(0, 80) ?? 'nothing',
    })
  }

  #take(name: string): unknown {
    this.#known.add(name)
    return this.#fields[name]
  }

  section(name: string): Section {
    return new Section(this.#field(name), this.#take(name))
  }

  text(name: string): string | null {
    const value = this.#take(name) ?? null
    if (value !== null && typeof value !== 'string') throw this.wrong(name, 'text', value)
    return value
  }

  list(name: string): readonly unknown[] {
    const value = this.#take(name) ?? []
    if (!Array.isArray(value)) throw this.wrong(name, 'a list', value)
    return value
  }

  texts(name: string, fallback: readonly string[]): readonly string[] {
    const value = this.#take(name) ?? fallback
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) {
      throw this.wrong(name, 'a list of texts', value)
    }
    return value
  }

  within(name: string, min: number, max: number, fallback: number): number {
    const value = this.integer(name, fallback)
    if (value < min || value > max) throw this.wrong(name, `from ${min} to ${max}`, value)
    return value
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.#take(name) ?? fallback
    if (typeof value !== 'boolean') throw this.wrong(name, 'true or false', value)
    return value
  }

  integer(name: string, fallback: number): number {
    const value = this.#take(name) ?? fallback
    if (!Number.isSafeInteger(value) || (value as number) < 0) {
      throw this.wrong(name, 'a whole number, 0 or more', value)
    }
    return value as number
  }

  oneOf<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = this.#take(name) ?? fallback
    const choice = choices.find((each) => each === value)
    if (choice === undefined) throw this.wrong(name, `one of ${choices.join(', ')}`, value)
    return choice
  }

  /** @throws ZoariumError CONFIG for a field that nobody asked for */
  finish(): void {
    const unknown = Object.keys(this.#fields).find((name) => !this.#known.has(name))
    if (unknown !== undefined) {
      throw new ZoariumError('CONFIG', `config.yaml: unknown field ${this.#field(unknown)}`, {
        field: this.#field(unknown),
        limit: [...this.#known].join(', '),
      })
    }
  }
}
