/**
 * Key bundles as files: the own identity goes from machine to machine, so that the root keys can
 * lie on several, or on one without a network. Each takes the chain in and adds its signatures.
 */
import fs from 'node:fs'
import { expectOk, type Verdict, ZoariumError } from '../protocol/errors.ts'
import { headOf } from '../protocol/head.ts'
import type { Identity } from '../protocol/identity.ts'
import { type Draft, signDraft } from '../protocol/identity-draft.ts'
import { isSameOperation } from '../protocol/identity-operation.ts'
import { type CheckedBundle, encodeBundle, readBundle } from '../protocol/key-bundle.ts'
import { MAX_BUNDLE_BYTES, MAX_BUNDLE_HEADS } from '../protocol/limits.ts'
import { comparePositions } from '../protocol/record.ts'
import { storeError, writeDurably } from './durable-file.ts'
import { writeIdentityFile } from './key-files.ts'
import type { OpenRegistry } from './open-registry.ts'
import { RootSets } from './root-sets.ts'

/**
 * Writes the identity to a file, with operations that follow it and are to be signed by further
 * keys, or were signed by enough.
 * @throws ZoariumError DISK_FULL, STORE
 */
export function writeBundle(
  { registry }: OpenRegistry,
  file: string,
  drafts: readonly Draft[] = [],
): void {
  const { publisher, catalogue } = registry
  // Own ones that are missing or old are signed now.
  registry.heads()
  const heads = catalogue.heads(publisher).filter(({ key, envelope }) => {
    const log = catalogue.log(publisher, key)
    // One behind the log would have it cut too early.
    return log === null || comparePositions(headOf(envelope), log) >= 0
  })
  const signed = wholeOnes(drafts)
  const bundle = encodeBundle({
    publisher,
    operations: [...registry.identityOps(publisher), ...signed],
    drafts: drafts.slice(signed.length).map(({ envelope }) => envelope),
    heads: heads.slice(0, MAX_BUNDLE_HEADS).map(({ envelope }) => envelope),
  })
  writeDurably(file, bundle)
}

/** So that no signatures get lost, or worse. @throws ZoariumError USAGE where a file is there */
export function requireAbsent(file: string): void {
  if (!fs.existsSync(file)) return
  throw new ZoariumError('USAGE', 'the file is there already', {
    got: file,
    hint: 'name a new one, or remove it',
  })
}

/**
 * Reads a bundle of the own identity.
 * @throws ZoariumError NOT_FOUND, LIMIT, IDENTITY_INVALID where it is another publisher's, STORE,
 * and like `readBundle`
 */
export function readBundleFile({ registry }: OpenRegistry, file: string): CheckedBundle {
  const bundle = expectOk(readBundle(readBounded(file, MAX_BUNDLE_BYTES)))
  if (bundle.publisher === registry.publisher) return bundle
  throw new ZoariumError('IDENTITY_INVALID', 'the keys of another publisher', {
    field: 'publisher',
    limit: registry.publisher,
    got: bundle.publisher,
  })
}

/**
 * Takes in the own identity from a file.
 * @returns how many operations are new here
 * @throws ZoariumError THRESHOLD_NOT_MET where operations need further signatures, CONTESTED where
 * both machines have signed on their own, and like {@link readBundleFile}; nothing is taken in then
 */
export function importIdentity(opened: OpenRegistry, file: string): number {
  const bundle = readBundleFile(opened, file)
  const [draft] = bundle.open
  if (draft !== undefined) {
    const needed = draft.signers.length + draft.missing
    throw new ZoariumError('THRESHOLD_NOT_MET', 'root signatures are missing', {
      field: 'drafts[0]',
      limit: needed,
      got: draft.signers.length,
      hint: `sign it where one of these keys is: ${draft.open.map((key) => key.slice(0, 16)).join(', ')}`,
    })
  }
  return takeIn(opened, bundle)
}

export interface SignedBundle {
  /** The operations that were open before, in order, with the signatures that they have now. */
  readonly drafts: readonly Draft[]
  /** How many signatures were added. */
  readonly added: number
}

/**
 * Adds the signatures of the root keys of this machine to what is open in a file, and takes in the
 * operations that are whole. The file is replaced.
 * @throws ZoariumError SCOPE where no root key of this machine may sign, SEQ where the identity has
 * moved on, CONTESTED, DISK_FULL, STORE, KEY_SEALED, and like {@link readBundleFile}
 */
export function signBundle(opened: OpenRegistry, file: string): SignedBundle {
  const { registry, folder, seal } = opened
  const bundle = readBundleFile(opened, file)
  takeIn(opened, bundle)
  const identity = registry.identity(registry.publisher)
  if (identity?.tip !== bundle.identity.tip) {
    throw new ZoariumError('SEQ', 'the identity has moved on since the file was made', {
      field: 'operations',
      limit: identity?.length ?? 0,
      got: bundle.identity.length,
      hint: 'draft the operation anew',
    })
  }
  const seeds = new RootSets(folder, registry.publisher, seal).seeds()
  let before: Identity = bundle.identity
  const drafts = bundle.open.map((open) => {
    const signed = signDraft(before, open, seeds)
    before = signed.after
    return signed
  })
  const added = signaturesOf(drafts) - signaturesOf(bundle.open)
  if (added > 0) {
    const signed = wholeOnes(drafts)
    const rest = drafts.slice(signed.length).map(({ envelope }) => envelope)
    const operations = [...bundle.operations, ...signed]
    writeDurably(file, encodeBundle({ ...bundle, operations, drafts: rest }))
  } else if (drafts.length > 0) {
    throw new ZoariumError('SCOPE', 'no root key of this machine may sign that, or it has signed', {
      field: 'keys/root.json',
      hint: `keys that may: ${[...new Set(drafts.flatMap(({ open }) => open))].map((key) => key.slice(0, 16)).join(', ')}`,
    })
  }
  return { drafts, added }
}

/** The first of them, up to one that needs further signatures. */
function wholeOnes(drafts: readonly Draft[]): readonly Uint8Array[] {
  const end = drafts.findIndex(({ missing }) => missing > 0)
  return drafts.slice(0, end < 0 ? drafts.length : end).map(({ envelope }) => envelope)
}

const signaturesOf = (drafts: readonly Draft[]): number =>
  drafts.reduce((sum, { signers }) => sum + signers.length, 0)

/** Takes in the chain and the heads. @returns how many operations are new here */
function takeIn(opened: OpenRegistry, bundle: CheckedBundle): number {
  const count = takeInChain(opened, bundle.operations, bundle.identity)
  for (const head of bundle.heads) takeHead(opened.registry.admitHead(head))
  return count
}

/**
 * Takes in a chain of the own identity.
 * @param theirs what it adds up to
 * @returns how many operations are new here
 * @throws ZoariumError CONTESTED where both machines have signed on their own, DISK_FULL, STORE
 */
export function takeInChain(
  { registry, folder, seal }: OpenRegistry,
  operations: readonly Uint8Array[],
  theirs: Identity,
): number {
  const { publisher } = registry
  const ours = registry.identity(publisher)
  const before = registry.identityOps(publisher)
  const isFork = operations.some((operation, index) => {
    const known = before[index]
    return known !== undefined && !isSameOperation(known, operation)
  })
  if (isFork && !mayWin(theirs, ours)) {
    // Taken in, it would freeze the publisher on all nodes.
    throw new ZoariumError('CONTESTED', 'operations were signed here and there on their own', {
      hint: 'sign on one machine at a time: draft, sign, import',
    })
  }
  expectOk(registry.admitIdentity(publisher, operations, 0))
  writeIdentityFile(folder, { publisher, operations: registry.identityOps(publisher) })
  if (mayWin(theirs, ours)) new RootSets(folder, publisher, seal).forget(theirs)
  return Math.max(0, registry.identityOps(publisher).length - before.length)
}

/** A rotation ends a fork, as it does on other nodes. */
const mayWin = (theirs: Identity, ours: Identity | null): boolean =>
  theirs.rotations > (ours?.rotations ?? 0)

/** A head of a log that has been cut since is passed over. */
function takeHead(verdict: Verdict<unknown>): void {
  if (!verdict.ok && verdict.code !== 'KEY_REVOKED' && verdict.code !== 'SEQ') expectOk(verdict)
}

/** @throws ZoariumError NOT_FOUND, LIMIT, STORE */
export function readBounded(file: string, maxBytes: number): Uint8Array {
  try {
    const { size } = fs.statSync(file)
    if (size <= maxBytes) return new Uint8Array(fs.readFileSync(file))
    const detail = { limit: maxBytes, got: size }
    throw new ZoariumError('LIMIT', 'too large a file of keys', detail)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new ZoariumError('NOT_FOUND', 'no such file', { got: file }, error)
    }
    throw storeError(`read ${file}`, error)
  }
}
