/** Files by which a roster is joined. */
import { expectOk } from '../../../protocol/errors.ts'
import { readRosterCar, writeRosterCar } from '../../../protocol/roster-car.ts'
import { TestPublisher } from '../../helpers/publisher.ts'
import { mutateBytes } from '../byte-mutants.ts'
import { Breach, settle, type Target } from '../fuzzer.ts'

const issuer = new TestPublisher('issuer')
const signed = issuer.roster('imaging', [issuer.publisher])
const { operations } = issuer
const head = issuer.head(signed)
const parts = { operations, head, roster: signed.envelope }
const file = expectOk(writeRosterCar(parts))

export const rosterTarget: Target = {
  name: 'roster-car',
  share: 15,
  mutant: (random) => {
    const finish = (bytes: Uint8Array): Uint8Array => bytes
    if (random.once(2)) return { raw: mutateBytes(file, random), finish, isSigned: false }
    // A part that is wrong under ids that are right.
    const which = random.below(operations.length + 2)
    const changed = {
      operations: operations.map((each, n) => (n === which ? mutateBytes(each, random) : each)),
      head: which === operations.length ? mutateBytes(head, random) : head,
      roster: which > operations.length ? mutateBytes(parts.roster, random) : parts.roster,
    }
    const written = writeRosterCar(changed)
    return { raw: written.ok ? written.value : file, finish, isSigned: false }
  },
  judge(input) {
    const verdict = readRosterCar(input)
    // Nothing in a file is free but the order of its blocks.
    if (verdict.ok && (verdict.value.signed.id !== signed.id || input.length !== file.length)) {
      throw new Breach('a roster that its issuer did not sign')
    }
    return settle(verdict)
  },
}
