/** What keeps this node from working as its operator means it to, each with the way out. */
import { type Failure, type Issue, issueOf } from '../protocol/errors.ts'
import { forkOf, healCommand } from '../registry/fork.ts'
import type { Registry } from '../registry/registry.ts'

/** Most conflicts of names that are shown. */
const MAX_CONFLICTS = 20

/** @param silence why the node does not speak for its publisher, or null */
export function warningsOf(registry: Registry, silence: Failure | null): readonly Issue[] {
  const { publisher, catalogue } = registry
  const identity: Issue = {
    code: 'CONTESTED',
    message:
      'your identity has forked: somebody else has root keys of yours, or you used them twice',
    field: publisher,
    hint: 'stop the daemon, then: zoarium keys rotate',
  }
  const forks = catalogue.proofs(publisher)
  return [
    ...(registry.isFrozen(publisher) ? [identity] : []),
    ...forks.map(({ key, proof }): Issue => {
      const { epoch, seq } = catalogue.log(publisher, key) ?? forkOf(proof)
      return {
        code: 'CONTESTED',
        message: `your log ${key.slice(0, 16)} has forked, and signs nothing until that is settled`,
        field: key,
        got: `${epoch}.${seq}`,
        hint: `the key was used on two machines, or an old backup was restored; stop the daemon, then, to keep what this node holds: ${healCommand({ key, epoch, seq })}`,
      }
    }),
    ...(silence === null ? [] : [issueOf(silence)]),
    ...policyFaults(registry.trustFault),
    ...conflicts(registry),
  ]
}

/** Names that stand for several things, of publishers whom this node lists. */
const conflicts = ({ catalogue, trust, publisher: own }: Registry): readonly Issue[] =>
  catalogue
    .conflicts()
    .filter(({ publisher }) => trust.may(publisher, 'list'))
    .slice(0, MAX_CONFLICTS)
    .map(({ publisher, kind, name, records: [first, ...others] }) => ({
      code: 'AMBIGUOUS',
      message: `${others.length + 1} statements say what the ${kind}${name === '' ? '' : ` ${name}`} is, and none replaces the others: ${first} holds`,
      field: publisher,
      hint:
        publisher === own
          ? 'two of your machines signed it: say it once more, and that replaces both'
          : 'its publisher can say it once more, and that replaces them',
    }))

/** What is wrong with the policy file since it was changed, each with its line. */
function policyFaults(fault: Failure | null): readonly Issue[] {
  if (fault === null) return []
  const hint = 'the rules of before the change stay in force'
  const issues = fault.issues ?? [issueOf(fault)]
  return issues.map((issue) => {
    const line = issue.line === undefined ? '' : ` line ${issue.line}`
    return { ...issue, message: `trust.yaml${line}: ${issue.message}`, hint }
  })
}
