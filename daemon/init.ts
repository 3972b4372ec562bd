/** Making a new node: keys, data folder, the publisher's profile. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import type { Cid } from '../protocol/cid.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { parseHandle } from '../protocol/reference.ts'
import { systemClock } from '../registry/clock.ts'
import { dataFolder } from '../registry/data-folder.ts'
import { initialise } from '../registry/open-registry.ts'
import { NETWORK_PROFILE_FILES, type NetworkProfile } from './network-profile.ts'

export interface NewNode {
  readonly folder: string
  /** The institution or lab, as people read it. */
  readonly name: string
  /** Its short name in references; default: the slug of the name. */
  readonly label?: string
  /** A domain name that is to confirm it. */
  readonly handle?: string
  /** Writes the configuration of such a place; without it the defaults hold. */
  readonly profile?: NetworkProfile
}

/** @throws ZoariumError USAGE where a node is there already, LOCKED, NAME, STORE, DISK_FULL */
export async function initNode(
  node: NewNode,
): Promise<{ readonly publisher: Cid; readonly label: string; readonly folder: string }> {
  const folder = dataFolder(node.folder)
  const { name: displayName, label, handle } = node
  if (node.profile !== undefined && existsSync(folder.config)) {
    throw new ZoariumError('USAGE', 'a configuration is there already', {
      field: 'profile',
      got: folder.config,
      hint: 'go without --profile, or move the file away',
    })
  }
  const profile = {
    displayName,
    ...(label === undefined ? {} : { label }),
    ...(handle === undefined ? {} : { handle: expectOk(parseHandle(handle)) }),
  }
  const made = await initialise(folder, profile, systemClock)
  if (node.profile !== undefined) {
    await writeFile(folder.config, NETWORK_PROFILE_FILES[node.profile], { mode: 0o600, flag: 'wx' })
  }
  return { ...made, folder: folder.path }
}
