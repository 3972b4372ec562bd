/** Making a new node: keys, data folder, the publisher's profile. */
import type { Cid } from '../protocol/cid.ts'
import { expectOk } from '../protocol/errors.ts'
import { parseHandle } from '../protocol/reference.ts'
import { systemClock } from '../registry/clock.ts'
import { dataFolder } from '../registry/data-folder.ts'
import { initialise } from '../registry/open-registry.ts'

export interface NewNode {
  readonly folder: string
  /** The institution or lab, as people read it. */
  readonly name: string
  /** Its short name in references; default: the slug of the name. */
  readonly label?: string
  /** A domain name that is to confirm it. */
  readonly handle?: string
}

/** @throws ZoariumError USAGE where a node is there already, LOCKED, NAME, STORE, DISK_FULL */
export async function initNode(
  node: NewNode,
): Promise<{ readonly publisher: Cid; readonly label: string; readonly folder: string }> {
  const folder = dataFolder(node.folder)
  const { name: displayName, label, handle } = node
  const profile = {
    displayName,
    ...(label === undefined ? {} : { label }),
    ...(handle === undefined ? {} : { handle: expectOk(parseHandle(handle)) }),
  }
  return { ...(await initialise(folder, profile, systemClock)), folder: folder.path }
}
