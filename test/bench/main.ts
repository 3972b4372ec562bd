/**
 * `npm run bench [-- NAME...]`: every figure as one line of JSON on stdout, progress on stderr.
 * docs/benchmarks.md has a run with its machine.
 */
import { benchAdmission } from './admission-bench.ts'
import type { Figure } from './figure.ts'
import { benchFlood } from './flood-bench.ts'
import { benchHttp } from './http-bench.ts'
import { benchInference } from './inference-bench.ts'
import { benchLarge } from './large-bench.ts'
import { benchStartup } from './startup-bench.ts'
import { benchSwarm } from './swarm-bench.ts'
import { benchSync } from './sync-bench.ts'
import { benchTransfer } from './transfer-bench.ts'

const BENCHES: Readonly<Record<string, () => Promise<readonly Figure[]>>> = {
  http: benchHttp,
  inference: benchInference,
  transfer: benchTransfer,
  swarm: benchSwarm,
  admission: benchAdmission,
  startup: benchStartup,
  flood: benchFlood,
  sync: benchSync,
  large: benchLarge,
}
/** Too much for a disk that nobody was asked about. */
const ONLY_NAMED: ReadonlySet<string> = new Set(['large'])

const wanted = process.argv.slice(2)
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length > 0 ? !wanted.includes(name) : ONLY_NAMED.has(name)) continue
  process.stderr.write(`bench ${name}\n`)
  for (const figure of await bench()) process.stdout.write(`${JSON.stringify(figure)}\n`)
}
