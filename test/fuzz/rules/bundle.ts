/** Key bundles as docs/protocol.md has them. */
import { type Fault, first, readEncoded } from './encoding.ts'
import * as is from './grammar.ts'
import { type Chain, extend } from './identity.ts'
import { payloadFields, statementFault } from './statements.ts'

const operation = is.bytes(1, 8192)
const bundle = is.fields({
  t: is.word('key-bundle'),
  v: is.int(1, 1),
  publisher: is.payload,
  operations: is.list(operation, 1024),
  drafts: is.list(operation, 16),
  heads: is.list(is.bytes(1, 16 * 1024 + 64), 256),
})

export function bundleFault(bytes: Uint8Array): Fault {
  if (bytes.length > 17 * 1024 * 1024) return 'too long'
  const read = readEncoded(bytes)
  if ('fault' in read) return read.fault
  const fault = bundle(read.value)
  if (fault !== null) return fault
  const { publisher, operations, drafts, heads } = read.value as unknown as {
    publisher: unknown
    operations: Uint8Array[]
    drafts: Uint8Array[]
    heads: Uint8Array[]
  }
  let chain: Chain | null = null
  for (const [index, each] of [...operations, ...drafts].entries()) {
    const after: Chain | string = extend(chain, each, index >= operations.length)
    if (typeof after === 'string') return after
    chain = after
  }
  if (operations.length === 0 || chain === null) return 'no chain'
  if (chain.publisher !== String(publisher)) return 'another publisher'
  return first(
    heads.map((head) => {
      const unsigned = statementFault('head', head)
      if (unsigned !== null) return unsigned
      const fields = payloadFields('head', head.subarray(0, -64))
      if (typeof fields === 'string') return fields
      return String(fields.publisher) === String(publisher) ? null : 'a head of another publisher'
    }),
  )
}
