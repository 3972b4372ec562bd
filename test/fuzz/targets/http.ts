/** What HTTP requests carry: fields, ranges, addresses, multipart bodies. */
import { parse } from 'node:querystring'
import { Readable } from 'node:stream'
import { parseDocument } from 'yaml'
import { parseByteRange } from '../../../daemon/http/byte-range.ts'
import type { Context } from '../../../daemon/http/context.ts'
import {
  flag,
  integer,
  listOf,
  oneOf,
  readFields,
  readQuery,
  text,
} from '../../../daemon/http/fields.ts'
import { parseJson } from '../../../daemon/http/json.ts'
import { parseListenAddress } from '../../../daemon/http/listen-address.ts'
import { readMultipart } from '../../../daemon/http/multipart.ts'
import { ZoariumError } from '../../../protocol/errors.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, type Outcome, settle, type Target, verdictOf } from '../fuzzer.ts'
import { mutateText } from '../text-mutants.ts'

const TYPES = ['model', 'tag'] as const
const readers = {
  q: text(100),
  type: oneOf(TYPES),
  limit: integer(1, 100),
  dryRun: flag,
  axes: listOf(text(10)),
}

function textTarget(
  name: string,
  share: number,
  samples: readonly string[],
  judge: (text: string) => Outcome | Promise<Outcome>,
): Target {
  return {
    name,
    share,
    mutant: (random) => {
      const bytes = new Uint8Array(Buffer.from(mutateText(random.pick(samples), random)))
      const raw = random.once(4) ? mutateBytes(bytes, random) : bytes
      return { raw, finish: (each) => each, isSigned: false }
    },
    judge: (input) => judge(Buffer.from(input).toString('utf8')),
  }
}

/** Fields by their types, once more. */
function checkFields(fields: Readonly<Record<string, unknown>>): void {
  const { q, type, limit, dryRun, axes } = fields
  const isSound =
    (q === null || (typeof q === 'string' && q !== '' && q.length <= 100)) &&
    (type === null || TYPES.some((each) => each === type)) &&
    (limit === null || (Number.isInteger(limit) && Number(limit) >= 1 && Number(limit) <= 100)) &&
    (dryRun === null || typeof dryRun === 'boolean') &&
    (axes === null || (Array.isArray(axes) && axes.every((each) => typeof each === 'string')))
  if (!isSound || Object.keys(fields).length !== 5) throw new Breach('fields of other types')
}

/** Whether two readers agree: as many names as the YAML library finds, which refuses twins. */
function isSameJson(text: string, value: unknown): boolean {
  const document = parseDocument(text, { schema: 'json', strict: true, logLevel: 'silent' })
  return document.errors.every(({ code }) => code !== 'DUPLICATE_KEY') && value !== undefined
}

const BOUNDARY = 'zoarium'
const MULTIPART = [
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="raw"; filename="a.npy"\r\n\r\nbytes\r\n--${BOUNDARY}--\r\n`,
  ...['a', 'b'].map(
    (name) =>
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"; filename="x"\r\n` +
      `Content-Type: image/png\r\n\r\n${name.repeat(30)}\r\n`.repeat(2) +
      `--${BOUNDARY}--\r\n`,
  ),
]

async function judgeMultipart(body: string): Promise<Outcome> {
  const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` }
  // SAFE: the reader looks at the headers only.
  const context = { headers } as unknown as Context
  let bytes = 0
  const bodyBytes = Buffer.from(body)
  try {
    const inputs = await readMultipart(context, Readable.from([bodyBytes]), (length) => {
      bytes += length
    })
    if (bytes > bodyBytes.length || inputs.length > 16) throw new Breach('more than was sent')
    if (new Set(inputs.map(({ name }) => name)).size < inputs.length)
      throw new Breach('a part twice')
    return 'accepted'
  } catch (error) {
    if (!(error instanceof ZoariumError)) throw error
    return settle({ ok: false, code: error.code, message: error.message, ...error.data })
  }
}

export const httpTargets: readonly Target[] = [
  textTarget(
    'query',
    15,
    ['q=cells&limit=5&dryRun=true', 'type=model&axes=y,x', 'limit=100'],
    (query) => {
      const verdict = verdictOf(() => readQuery(parse(query), readers))
      if (verdict.ok) checkFields(verdict.value)
      return settle(verdict)
    },
  ),
  textTarget(
    'json-fields',
    15,
    [
      '{"q":"x","limit":3,"axes":["y"]}',
      '{"type":"tag","dryRun":false}',
      '{"a":1,"\\u0062":[{"a":{}}],"b":1e300}',
    ],
    (body) => {
      const parsed = verdictOf(() => parseJson(body))
      if (!parsed.ok) return settle(parsed)
      // What means one thing is written again with nothing lost.
      if (!isSameJson(body, parsed.value)) throw new Breach('JSON that means two things')
      const verdict = verdictOf(() => readFields(parsed.value, readers))
      if (verdict.ok) checkFields(verdict.value)
      return settle(verdict)
    },
  ),
  textTarget(
    'byte-range',
    15,
    ['bytes=0-99', 'bytes=-5', 'bytes=7-', 'bytes=0-0,5-6', 'bytes=99-100'],
    (header) => {
      const size = 100
      const verdict = verdictOf(() => parseByteRange(header, size))
      if (verdict.ok && verdict.value !== null) {
        const { start, end } = verdict.value
        if (!(start >= 0 && start < end && end <= size))
          throw new Breach('a range outside the file')
      }
      return settle(verdict)
    },
  ),
  textTarget('listen-address', 10, ['127.0.0.1:7070', '[::1]:0', 'a.example:65535'], (address) => {
    const verdict = verdictOf(() => parseListenAddress(address))
    if (verdict.ok) {
      const { host, port } = verdict.value
      if (host === '' || !(port >= 0 && port <= 65_535) || /[\s/]/.test(host))
        throw new Breach('no address')
    }
    return settle(verdict)
  }),
  textTarget('multipart', 5, MULTIPART, judgeMultipart),
]
