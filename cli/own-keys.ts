/** What the commands on the own keys share: opening the data folder, and showing what is there. */
import type { DeviceKeyView, KeysView } from '../protocol/api.ts'
import { ZoariumError } from '../protocol/errors.ts'
import type { OpenRegistry } from '../registry/open-registry.ts'
import type { OwnKeys } from '../registry/own-keys.ts'
import { count } from './format.ts'
import type { Output } from './output.ts'
import { readSecret } from './seal-secret.ts'
import type { Session } from './session.ts'

/** As many digits of a key as people compare. */
export const SHORT = 16

/**
 * Changes the keys and shows what they are then.
 * @param draft a file for what is to be signed elsewhere too; undefined: it is done at once
 * @param work says what was done
 */
export async function change(
  { folder, io, output }: Session,
  draft: string | undefined,
  work: (keys: OwnKeys, opened: OpenRegistry) => Promise<string | null> | string | null,
): Promise<void> {
  const { keysView, withKeys } = await import('../daemon/keys.ts')
  const { done, view } = await withKeys(
    folder,
    (by) => readSecret(io, by),
    async (own, opened) => ({ done: await work(own, opened), view: keysView(own.overview()) }),
    { draftTo: draft ?? null },
  )
  output.result(view, () => printKeys(output, view))
  if (draft !== undefined) {
    output.note(
      `nothing has changed yet: ${draft} waits for \`zoarium keys sign ${draft}\` where other`,
    )
    output.note('root keys are, and then for `zoarium keys import` here')
  } else if (done !== null) output.note(done)
}

/** The keys of the data folder, be it by way of the daemon that uses it. */
export async function readKeys({ folder, io, client }: Session): Promise<KeysView> {
  const { keysView, withKeys } = await import('../daemon/keys.ts')
  try {
    return await withKeys(
      folder,
      (by) => readSecret(io, by),
      (own) => keysView(own.overview()),
    )
  } catch (error) {
    if (!(error instanceof ZoariumError) || error.code !== 'LOCKED') throw error
    return client.keys().catch((cause: unknown) => {
      // What uses the folder is no daemon, or one at another address.
      const isNone = cause instanceof ZoariumError && cause.code === 'UNREACHABLE'
      throw isNone ? error : cause
    })
  }
}

/** Root keys and device keys. */
export function printKeys(output: Output, view: KeysView): void {
  const { publisher, roots, threshold, next, devices } = view
  output.line(`${publisher}  ${count(view.length, 'operation')}`)
  output.fields([
    ['root keys', `${threshold} of ${roots.length} sign`],
    ...roots.map(({ key, here }) => ['', `${key.slice(0, SHORT)}  ${placeOf(here)}`] as const),
    ['next set', `${next.commitment.slice(0, SHORT)}  ${nextText(next)}`],
    ['on disk', view.sealed ? 'sealed' : 'open'],
    ...(view.steward === null ? [] : [['steward', view.steward] as const]),
  ])
  output.table(
    ['KEY', 'SCOPE', 'STATE', 'FROM', 'UNTIL', 'WHERE'],
    devices.map(({ key, scope, audience, state, notBefore, notAfter, here }) => [
      key.slice(0, SHORT),
      audience === null ? scope : 'private',
      state,
      notBefore.slice(0, 10),
      notAfter.slice(0, 10),
      placeOf(here),
    ]),
  )
}

/** One device key, with what the root keys said of it. */
export function printKey(output: Output, view: DeviceKeyView): void {
  output.line(view.key)
  output.fields([
    ['scope', view.scope],
    ...(view.audience === null ? [] : [['private to', audienceText(view.audience)] as const]),
    ['state', view.revoked === null ? view.state : `revoked: ${view.revoked}`],
    ['from', view.notBefore],
    ['until', view.notAfter],
    ['where', placeOf(view.here)],
    ['newest record', lastText(view.last)],
    ...view.cuts.map(
      ({ last, epoch }) =>
        [
          'good up to',
          `${lastText(last)}${epoch === null ? ', the end' : `, then epoch ${epoch}`}`,
        ] as const,
    ),
  ])
}

const audienceText = ({ publishers, rosters }: NonNullable<DeviceKeyView['audience']>): string =>
  [
    'own nodes',
    ...publishers,
    ...rosters.map(({ publisher, name }) => `roster ${publisher}/${name}`),
  ].join(', ')

/** A set in part is enough where others sign too. */
const nextText = ({ here, held }: KeysView['next']): string =>
  here || held === 0 ? placeOf(here) : `${count(held, 'key')} of it on this machine`

const placeOf = (here: boolean): string => (here ? 'this machine' : 'elsewhere')

const lastText = (last: DeviceKeyView['last']): string =>
  last === null ? 'none' : `${last.epoch}.${last.seq} ${last.tip}`
