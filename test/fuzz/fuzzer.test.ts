/** The fuzzer finds decoders that are weaker, or stricter, than the rules; and none among ours. */
import assert from 'node:assert/strict'
import * as dagCbor from '@ipld/dag-cbor'
import { concat } from '../../protocol/bytes.ts'
import { decode } from '../../protocol/cbor.ts'
import { accept, type Code, type Failure, refuse, type Verdict } from '../../protocol/errors.ts'
import { extendIdentity } from '../../protocol/identity.ts'
import { checkNext } from '../../protocol/log.ts'
import { readRecord } from '../../protocol/record.ts'
import { verifyStrict } from '../../protocol/signature.ts'
import { type Finding, fuzz, type Target } from './fuzzer.ts'
import { Random } from './random.ts'
import { signAs, signers } from './signers.ts'
import { encodingTargets } from './targets/encoding.ts'
import { identityTarget } from './targets/identity.ts'
import { logTarget } from './targets/log.ts'
import { signatureTarget } from './targets/signature.ts'
import { recordTargets } from './targets/statements.ts'
import { targets } from './targets.ts'

const SEED = 1
const RUNS = 5000

/** A decoder that lets pass what breaks one rule. */
const without =
  <A extends readonly unknown[], T>(read: (...given: A) => Verdict<T>, code: Code) =>
  (...given: A): Verdict<T> => {
    const verdict = read(...given)
    return verdict.ok || verdict.code !== code ? verdict : accept(null as T)
  }

const pick = (all: readonly Target[], name: string): Target =>
  all.find((target) => target.name === name) ?? assert.fail(name)

const model = (read: typeof readRecord): Target => pick(recordTargets(read), 'record-model')
const tag = (read: typeof readRecord): Target => pick(recordTargets(read), 'record-tag')
const values = (read: typeof decode): Target => pick(encodingTargets(read), 'encoding-values')

const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n
/** S of a signature brought below the order first, as lenient libraries do. */
const lenient: typeof verifyStrict = (message, signature, key) => {
  if (signature.length !== 64) return verifyStrict(message, signature, key)
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) % ORDER
  const bytes = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
  return verifyStrict(message, concat([signature.subarray(0, 32), bytes]), key)
}

const WEAKER: Readonly<Record<string, Target>> = {
  'a general DAG-CBOR decoder': values((bytes) => {
    try {
      return accept(dagCbor.decode(bytes))
    } catch {
      return refuse('TRUNCATED', 'not DAG-CBOR')
    }
  }),
  'an encoding with floats': values(without(decode, 'CBOR_FLOAT')),
  'an encoding with bytes behind it': values(without(decode, 'TRAILING')),
  'records with a broken signature': model(without(readRecord, 'SIG_INVALID')),
  'records with fields that nobody knows': tag(without(readRecord, 'UNKNOWN_FIELD')),
  'records of a model with another root': model(without(readRecord, 'CONTENT_MISMATCH')),
  'records whose signature is not looked at': tag((envelope) => {
    const verdict = readRecord(envelope)
    if (verdict.ok) return verdict
    const payload = envelope.subarray(0, -64)
    const signer = signers.get('publish') ?? assert.fail()
    return readRecord(concat([payload, signAs(signer, 'record', payload)]))
  }),
  'signatures with S over the order': signatureTarget(lenient),
  'signatures by weak keys': signatureTarget(without(verifyStrict, 'KEY_WEAK')),
  'a log whose records follow others': logTarget(without(checkNext, 'PREV_UNKNOWN')),
  'a log with gaps': logTarget(without(checkNext, 'GAP')),
  'too few root signatures': identityTarget(without(extendIdentity, 'THRESHOLD_NOT_MET')),
  'root keys that were not committed to': identityTarget(without(extendIdentity, 'PREROTATION')),
}

async function findingOf(target: Target): Promise<Finding> {
  const { finding } = await fuzz(target, SEED, 0, RUNS)
  return finding ?? assert.fail(`${target.name} went through`)
}

describe('fuzz/fuzzer', () => {
  for (const [what, target] of Object.entries(WEAKER)) {
    it(`finds a decoder that takes ${what}`, async () => {
      assert.match((await findingOf(target)).message, /accepted against the rules|does not encode/)
    }).timeout(30_000)
  }

  it('finds a decoder that refuses what the rules allow', async () => {
    const strict = values((bytes) =>
      bytes.length > 20 ? refuse('LIMIT', 'too long') : decode(bytes),
    )
    assert.match((await findingOf(strict)).message, /refused with LIMIT, though no rule/)
  })

  it('finds a decoder that throws, answers never, or refuses without a code', async () => {
    const broken = (judge: () => Verdict<never>) => values(judge)
    const thrown = broken(() => {
      throw new TypeError('a bug')
    })
    assert.match((await findingOf(thrown)).message, /threw TypeError: a bug/)
    const uncoded = { ok: false, code: 'ODD', message: 'x' } as unknown as Failure
    assert.match((await findingOf(broken(() => uncoded))).message, /without a known code: ODD/)
    const wordless = refuse('LIMIT', '')
    assert.match((await findingOf(broken(() => wordless))).message, /without a message/)
  })

  it('repeats a finding by its number, with a shorter input that fails alike', async () => {
    const target = values(without(decode, 'TRAILING'))
    const finding = await findingOf(target)
    const again = await fuzz(target, SEED, finding.at, finding.at + 1)
    assert.deepEqual(again.finding, finding)
    const { raw, finish } = target.mutant(new Random(SEED, target.name, finding.at))
    assert(finding.input.length <= 2 * finish(raw).length)
    assert.equal(target.judge.length, 1)
    await assert.rejects(async () => target.judge(Buffer.from(finding.input, 'hex')))
  })

  it('finds nothing in our decoders', async () => {
    for (const target of targets) {
      const { tally, finding } = await fuzz(target, SEED, 0, target.share < 5 ? 3 : 60)
      assert.equal(finding, null, `${target.name}: ${finding?.message} ${finding?.input}`)
      assert(tally.mutants > 0)
    }
  }).timeout(30_000)
})
