/**
 * `npm run coverage`: which branches of the two ground floors their own tests take, and whether that
 * is enough; ends with status 1 where it is not. Node blanks types out in place when it runs a file,
 * so positions are those of the source.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'

/** What verifies foreign statements: every branch counts. */
const VERIFYING = [
  ...['cbor', 'cid', 'shape', 'envelope', 'statement', 'signature', 'identity'],
  ...[
    'identity-draft',
    'identity-operation',
    'key-bundle',
    'audience',
    'device',
    'delegation',
    'log',
    'head',
    'record',
  ],
  ...['record-body', 'binding', 'heartbeat', 'holdings'],
].map((name) => `protocol/${name}.ts`)

/** Least share of branches, in percent, of all files of a group together. */
const GROUPS = [
  { name: 'encoding, signatures, identities, logs', include: VERIFYING, exclude: [], least: 100 },
  { name: 'the rest of protocol/', include: ['protocol/**'], exclude: VERIFYING, least: 90 },
  { name: 'registry/', include: ['registry/**'], exclude: [], least: 90 },
]
const TESTS = 'test/{protocol,registry,fuzz}/**/*.test.ts'

const root = path.join(import.meta.dirname, '..')
const { resolve } = createRequire(import.meta.url)

function run(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): boolean {
  const options = { cwd: root, env: { ...process.env, ...env }, stdio: 'inherit' } as const
  return spawnSync(process.execPath, [resolve(script), ...args], options).status === 0
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'zoarium-coverage-'))
try {
  // Counting makes tests slower.
  const mocha = ['--reporter', 'dot', '--timeout', '60000', TESTS]
  let isEnough = run('mocha/bin/mocha.js', mocha, { NODE_V8_COVERAGE: folder })
  for (const { name, include, exclude, least } of GROUPS) {
    console.log(`\n${name}: at least ${least} % of branches`)
    const options = [
      ...['--temp-directory', folder, '--reporter', 'text', '--all', '--check-coverage'],
      ...['--branches', `${least}`, '--lines', '0', '--functions', '0', '--statements', '0'],
      ...include.flatMap((each) => ['--include', each]),
      ...exclude.flatMap((each) => ['--exclude', each]),
    ]
    isEnough = run('c8/bin/c8.js', ['report', ...options]) && isEnough
  }
  process.exitCode = isEnough ? 0 : 1
} finally {
  fs.rmSync(folder, { recursive: true, force: true })
}
