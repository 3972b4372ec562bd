import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { EXIT, ZoariumError } from '../../protocol/errors.ts'
import { zoarium } from '../helpers/cli.ts'
import { createFakeNode, type FakeNode } from '../helpers/fake-node.ts'
import { serve } from '../helpers/http.ts'
import { TestPublisher } from '../helpers/publisher.ts'

describe('cli/commands/verify', () => {
  const honest = createFakeNode('/nowhere')
  const verify = async (overrides: Partial<FakeNode> = {}, ...flags: string[]) => {
    const { url } = await serve({ ...honest, ...overrides })
    return zoarium(['verify', 'institute-a/nuclei', ...flags], { ZOARIUM_URL: url })
  }

  it('proves signature, identity, delegation and every byte', async () => {
    const run = await verify()
    assert.equal(run.status, EXIT.ok, run.stderr)
    for (const what of ['record', 'signature', 'identity', 'delegation', 'files', 'root']) {
      assert.match(run.stdout, new RegExp(`^  ${what} `, 'm'))
    }
    const json = (await verify({}, '--json')).json() as { proven: object[]; record: string }
    assert.deepEqual([json.proven.length, json.record], [6, honest.view.record])
  })

  it('finds what a daemon changed', async () => {
    const changed = (bytes: Uint8Array, at: number): Uint8Array => {
      const copy = bytes.slice()
      copy[at] = (copy[at] ?? 0) ^ 1
      return copy
    }
    const envelope = honest.envelope(honest.view.record)
    const other = new TestPublisher('institute-x')
    const weights = honest.files.get('weights.onnx') ?? new Uint8Array(0)
    const identity = honest.identity('institute-a')
    const fileWith =
      (bytes: Uint8Array): FakeNode['file'] =>
      async (ref, path, signal) => ({
        ...(await honest.file(ref, path, signal)),
        ...(path === 'weights.onnx'
          ? { size: bytes.length, open: async () => Readable.from([bytes]) }
          : {}),
      })
    const lies: Record<string, Partial<FakeNode>> = {
      'flipped payload': { envelope: () => changed(envelope, 30) },
      'flipped signature': { envelope: () => changed(envelope, envelope.length - 40) },
      'another record': {
        envelope: () => honest.publisher.model({ name: 'other' }).signed.envelope,
      },
      'another publisher': {
        identity: () => ({
          ...identity,
          operations: other.operations.map((each) => Buffer.from(each).toString('base64')),
        }),
      },
      'identity without the delegation': {
        identity: () => ({ ...identity, operations: identity.operations.slice(0, 1) }),
      },
      'flipped byte': { file: fileWith(changed(weights, 1_400_000)) },
      'byte less': { file: fileWith(weights.subarray(1)) },
      'byte more': { file: fileWith(new Uint8Array([...weights.subarray(0, 10), ...weights])) },
    }
    for (const [what, overrides] of Object.entries(lies)) {
      const run = await verify(overrides)
      assert.equal(run.status, EXIT.unverified, `${what}: ${run.stdout}${run.stderr}`)
      assert.equal(run.stdout, '')
    }
  })

  it('tells missing bytes from wrong ones', async () => {
    const run = await verify({
      file: () => {
        throw new ZoariumError('BLOB_MISSING', 'not here', {
          hint: 'zoarium pull institute-a/nuclei',
        })
      },
    })
    assert.equal(run.status, EXIT.notFound)
    assert.match(run.stderr, /hint: zoarium pull/)
  })
})
