import type { PublicWeb } from '../public-web.ts'

/** Where and as whom a source is asked. */
export interface WebDoor {
  readonly web: PublicWeb
  /** Of the profile. */
  readonly url: URL
  /** Of its host. */
  readonly address: string
  /** As it stands in a request. */
  readonly ticket: string
}
