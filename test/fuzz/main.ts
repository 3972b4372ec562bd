/**
 * `npm run test:fuzz -- [--runs N] [--seed S] [--only TARGET] [--at N]`: mutants against every decoder of foreign
 * bytes. Prints the seed and one line a target; at a failure the input in hex, the command that
 * repeats it, and ends with status 1.
 */
import { parseArgs } from 'node:util'
import { type Finding, fuzz, type Tally } from './fuzzer.ts'
import { targets } from './targets.ts'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '100000' },
    seed: { type: 'string' },
    only: { type: 'string' },
    at: { type: 'string' },
  },
})

function count(name: string, text: string): number {
  if (/^[0-9]{1,12}$/.test(text)) return Number(text)
  console.error(`--${name} is a whole number, got ${JSON.stringify(text)}`)
  process.exit(2)
}

const runs = count('runs', values.runs)
const seed = count('seed', values.seed ?? String(Math.floor(Math.random() * 2 ** 32)))
const at = values.at === undefined ? null : count('at', values.at)
const chosen = targets.filter(({ name }) => values.only === undefined || name === values.only)
if (chosen.length === 0) {
  console.error(`no such target; there are: ${targets.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}

const shares = chosen.reduce((sum, { share }) => sum + share, 0)
const tallies: Tally[] = []
const findings: Finding[] = []
console.log(`seed ${seed}`)
for (const target of chosen) {
  const until = at === null ? Math.ceil((runs * target.share) / shares) : at + 1
  const { tally, finding } = await fuzz(target, seed, at ?? 0, until)
  tallies.push(tally)
  print(tally)
  if (finding === null) continue
  findings.push(finding)
  console.log(`  BROKEN ${finding.message}`)
  console.log(`  input  ${finding.input}`)
  console.log(
    `  again  npm run test:fuzz -- --only ${target.name} --seed ${seed} --at ${finding.at}`,
  )
}

function print({ target, mutants, signed, accepted, refused, slowest, ms }: Tally): void {
  const codes = [...refused].sort(([, a], [, b]) => b - a).map(([code, n]) => `${code} ${n}`)
  const rate = Math.round(mutants / (ms / 1000))
  console.log(
    `${target}: ${mutants} mutants, ${signed} signed anew, ${accepted} keep all rules and are accepted, ` +
      `${rate}/s, slowest ${Math.round(slowest)} ms; refused: ${codes.join(', ')}`,
  )
}

const sum = (of: (tally: Tally) => number): number =>
  tallies.reduce((all, each) => all + of(each), 0)
const mutants = sum((tally) => tally.mutants)
const accepted = sum((tally) => tally.accepted)
console.log(
  `${mutants} mutants, ${sum((tally) => tally.signed)} signed anew: ${mutants - accepted - findings.length} refused ` +
    `with a code, ${accepted} that keep all rules accepted, ${findings.length} wrongly accepted, refused, thrown or slow ` +
    `(seed ${seed}, ${Math.round(sum((tally) => tally.ms) / 1000)} s)`,
)
process.exitCode = findings.length === 0 ? 0 : 1
