/** Where the HTTP server listens: `HOST:PORT`, `[IPv6]:PORT`. */
import { isIP } from 'node:net'
import { ZoariumError } from '../../protocol/errors.ts'

export interface ListenAddress {
  /** Without brackets. */
  readonly host: string
  readonly port: number
}

/** @throws ZoariumError CONFIG */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]+)):([0-9]{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65_535 || (match?.[1] !== undefined && isIP(host) !== 6)) {
    throw new ZoariumError('CONFIG', 'not an address to listen at', {
      field: 'http',
      got: text.slice(0, 80),
      hint: 'write HOST:PORT, for example 127.0.0.1:7070 or [::1]:7070',
    })
  }
  return { host, port }
}

export const formatHost = ({ host, port }: ListenAddress): string =>
  `${isIP(host) === 6 ? `[${host}]` : host}:${port}`

/** Whether only this machine reaches the host. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
