/** What can be said of a node that is not running, from its folder alone. */
import { existsSync } from 'node:fs'
import net from 'node:net'
import type { DoctorView, FindingView } from '../protocol/api.ts'
import { ZoariumError } from '../protocol/errors.ts'
import { dataFolder } from '../registry/data-folder.ts'
import { type Config, readConfig } from './config.ts'
import { folderFinding } from './doctor.ts'
import { proxyList } from './http/client-address.ts'
import { parseListenAddress } from './http/listen-address.ts'
import { parseTold } from './net/address.ts'
import { publicAddress } from './net/web-socket-address.ts'

/** Opens nothing of the folder but its configuration. */
export async function examineFolder(folder: string): Promise<DoctorView> {
  const paths = dataFolder(folder)
  const findings: FindingView[] = []
  if (!existsSync(paths.identity)) {
    const message = `there is no node in ${paths.path}`
    findings.push({ check: 'folder', state: 'fail', message, hint: 'zoarium init' })
    return { findings, isWell: false }
  }
  findings.push(folderFinding(paths.path))
  try {
    const config = readConfig(paths.config, { folder })
    checkAddresses(config)
    findings.push({ check: 'config', state: 'ok', message: 'config.yaml can be used' })
    const listeners = config.http.listen.map((text) => ({ ...parseListenAddress(text), text }))
    const ports = config.network.listen.flatMap((text) => {
      const [, host, port] = /^\/ip[46]\/([^/]+)\/tcp\/(\d+)/.exec(text) ?? []
      return host === undefined ? [] : [{ host, port: Number(port), text }]
    })
    for (const { host, port, text } of [...listeners, ...ports]) {
      findings.push(await portFinding(host, port, text))
    }
  } catch (error) {
    if (!(error instanceof ZoariumError)) throw error
    const { hint } = error.data
    const detail = hint === undefined ? {} : { hint }
    findings.push({ check: 'config', state: 'fail', message: error.message, ...detail })
  }
  const hint = 'zoarium daemon; where it runs elsewhere, name it: --url or ZOARIUM_URL'
  findings.push({ check: 'daemon', state: 'fail', message: 'the daemon is not running', hint })
  return { findings, isWell: false }
}

/** What the daemon would refuse at its start. @throws ZoariumError */
function checkAddresses({ http, network }: Config): void {
  if (http.publicUrl !== null) publicAddress(http.publicUrl)
  proxyList(http.proxies)
  for (const text of [...network.listen, ...network.announce, ...network.peers]) {
    if (parseTold(text) === null) {
      throw new ZoariumError('CONFIG', `config.yaml: not a multiaddr: ${text.slice(0, 80)}`, {
        hint: 'for example /ip4/192.0.2.1/tcp/7071',
      })
    }
  }
}

async function portFinding(host: string, port: number, text: string): Promise<FindingView> {
  const server = net.createServer()
  const code = await new Promise<string | null>((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port }, () => resolve(null))
  })
  if (code === null) {
    await new Promise((resolve) => server.close(resolve))
    return { check: 'ports', state: 'ok', message: `${text} is free` }
  }
  return {
    check: 'ports',
    state: 'fail',
    message: `${text} cannot be listened at: ${code}`,
    hint: 'another program may use the port; choose one in config.yaml or with --http and --listen',
  }
}
