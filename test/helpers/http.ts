/** Starts the HTTP server on a free port over a fake node; stopped after the test. */
import http from 'node:http'
import type { NodeApi } from '../../daemon/http/node-api.ts'
import {
  createHttpServer,
  type HttpServer,
  type HttpServerOptions,
} from '../../daemon/http/server.ts'

const started: HttpServer[] = []

/** Fields of each line that the server logged, with its level. */
export type LogLines = {
  readonly level: string
  readonly message: string
  readonly fields: object
}[]

export interface Served {
  readonly url: string
  readonly port: number
  readonly server: HttpServer
  readonly log: LogLines
}

export interface ServeOptions {
  readonly config?: Partial<HttpServerOptions['config']>
  readonly limits?: HttpServerOptions['limits']
  readonly network?: HttpServerOptions['network']
}

export async function serve(node: NodeApi, options: ServeOptions = {}): Promise<Served> {
  const log: LogLines = []
  const note = (level: string) => (fields: object, message: string) =>
    void log.push({ level, message, fields })
  const server = createHttpServer({
    node,
    config: {
      listen: ['127.0.0.1:0'],
      tls: null,
      behindProxy: false,
      hosts: [],
      ...options.config,
    },
    log: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') },
    ...(options.network === undefined ? {} : { network: options.network }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  started.push(server)
  await server.start()
  const [url = ''] = server.urls
  return { url, port: Number(new URL(url).port), server, log }
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()))
})

export interface RawAnswer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
  /** The code of an error answer. */
  readonly code: string | undefined
}

/** A request with any header, which `fetch` would not allow. */
export function request(
  url: string,
  options: http.RequestOptions & { readonly body?: string | Uint8Array } = {},
): Promise<RawAnswer> {
  const { body, ...rest } = options
  return new Promise((resolve, reject) => {
    const outgoing = http.request(url, { agent: false, ...rest }, async (answer) => {
      const chunks: Uint8Array[] = []
      for await (const chunk of answer) chunks.push(chunk)
      const text = Buffer.concat(chunks).toString()
      const isJson = String(answer.headers['content-type']).startsWith('application/json')
      const code = isJson && text !== '' ? JSON.parse(text).error?.code : undefined
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, code })
    })
    outgoing.once('error', reject)
    outgoing.end(body)
  })
}
