/**
 * Federations as the operator sees them: rosters that this node issues and follows, and joining by
 * one. Which rules of trust follow is decided in the registry; here peers are asked and connected.
 */
import type {
  AddressView,
  JoinView,
  LeaveView,
  MemberView,
  RosterStatus,
  RosterView,
} from '../protocol/api.ts'
import { type Cid, fingerprintOf, parseCid } from '../protocol/cid.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { readRosterCar } from '../protocol/roster-car.ts'
import type { JoinPlan } from '../registry/joining.ts'
import type { Registry } from '../registry/registry.ts'
import type { RosterState } from '../registry/rosters.ts'
import { RIGHTS, type Right, type RosterRule } from '../registry/trust.ts'
import type { JoinOptions, RosterEdit } from './http/node-api.ts'
import type { Log } from './log.ts'
import type { Network } from './net/network.ts'
import type { Views } from './views.ts'

/** Rosters that an error names. */
const MAX_SHOWN = 5

interface FoundFile {
  readonly car: Uint8Array
  readonly name: string
  /** Milliseconds; 0 where it may not be relied on. */
  readonly expires: number
}

export interface FederationParts {
  readonly registry: Registry
  readonly network: Pick<Network, 'peerId' | 'connect' | 'keep' | 'findRoster'>
  readonly views: Views
  readonly log: Pick<Log, 'warn'>
}

export class Federation {
  readonly #parts: FederationParts

  constructor(parts: FederationParts) {
    this.#parts = parts
  }

  // Rosters

  list(): readonly RosterView[] {
    return this.#parts.registry.rosters.all().map((state) => this.#view(state))
  }

  /** What of the rosters the operator should know at a glance. */
  statuses(): readonly RosterStatus[] {
    const { registry, views } = this.#parts
    return registry.rosters.all().map((state) => {
      const { publisher, name } = state
      const followed = registry.trust.roster(publisher, name)
      return {
        publisher,
        issuer: views.nameOf(publisher),
        name,
        own: publisher === registry.publisher,
        followed: followed !== null,
        state: state.state,
        waiting: followed === null ? 0 : waitingOf(state, followed).length,
      }
    })
  }

  /** @throws ZoariumError NOT_FOUND, AMBIGUOUS */
  one(publisher: string, name: string): RosterView {
    const { registry } = this.#parts
    const id = expectOk(registry.resolvePublisher(publisher))
    const found = registry.rosters
      .all()
      .find((state) => state.publisher === id && state.name === name)
    if (found !== undefined) return this.#view(found)
    throw new ZoariumError('NOT_FOUND', 'no roster of that name is issued or followed here', {
      got: `${publisher}/${name}`.slice(0, 120),
    })
  }

  #view(state: RosterState): RosterView {
    const { registry, views } = this.#parts
    const { publisher, name, standing, rivals } = state
    const followed = registry.trust.roster(publisher, name)
    const body = standing?.body ?? null
    const standingMembers = new Set(body?.members)
    const gone = followed?.members.filter((each) => !standingMembers.has(each)) ?? []
    return {
      publisher: views.publisher(publisher),
      name,
      own: publisher === registry.publisher,
      state: state.state,
      record: standing?.record ?? null,
      right: body?.right ?? null,
      members: (body?.members ?? []).map((each) => views.publisher(each)),
      bootstrap: body?.bootstrap ?? [],
      rivals,
      followed:
        followed === null
          ? null
          : {
              right: followed.right,
              line: followed.line,
              waiting: waitingOf(state, followed),
              gone: gone.map((each) => views.publisher(each)),
            },
    }
  }

  /** Signs an own roster. @throws ZoariumError NOT_FOUND, AMBIGUOUS, NAME, RECORD_INVALID, LIMIT */
  set(name: string, { add, remove, right, bootstrap }: RosterEdit): RosterView {
    const { registry } = this.#parts
    const ids = (names: readonly string[]) =>
      names.map((each) => expectOk(registry.resolvePublisher(each)))
    registry.rosters.set(name, {
      add: ids(add ?? []),
      remove: ids(remove ?? []),
      ...(right === null ? {} : { right }),
      ...(bootstrap === null ? {} : { bootstrap }),
    })
    return this.one(registry.publisher, name)
  }

  /** Takes an own roster back. @throws ZoariumError NOT_FOUND */
  withdraw(name: string): RosterView {
    const { registry } = this.#parts
    registry.rosters.withdraw(name, 'dissolved', '')
    return this.one(registry.publisher, name)
  }

  /** The same answer for what is private and what is not there. @throws ZoariumError NOT_FOUND, CONTESTED */
  file(publisher: string, name: string): Uint8Array {
    const { registry } = this.#parts
    const id = registry.resolvePublisher(publisher)
    const isPublic = id.ok && registry.rosters.isPublic(id.value, name)
    const file = isPublic ? registry.rosters.file(id.value, name) : null
    if (file !== null && (file.ok || file.code !== 'NOT_FOUND')) return expectOk(file)
    throw new ZoariumError('NOT_FOUND', 'no roster of that name is handed out here', {
      got: `${publisher}/${name}`.slice(0, 120),
    })
  }

  // Joining

  /**
   * Follows the roster of a file, or of a record or issuer that this node or a connected peer knows.
   * @throws ZoariumError like `planJoin` of the registry, NOT_FOUND, AMBIGUOUS, CID_TEXT, POLICY
   */
  async join({ car, ref, grantRun, dryRun }: JoinOptions): Promise<JoinView> {
    const { registry } = this.#parts
    const file = car ?? (await this.#find(ref ?? ''))
    const plan = expectOk(registry.planJoin(file, grantRun))
    if (!dryRun) registry.join(plan)
    const addresses = this.#others(plan.roster.body.bootstrap)
    const bootstrap = dryRun
      ? addresses.map((address) => ({ address, connected: null, error: null }))
      : await Promise.all(addresses.map((address) => this.#connect(address)))
    return { dryRun, ...this.#joinView(plan), bootstrap }
  }

  /** @throws ZoariumError NOT_FOUND, POLICY */
  leave(publisher: string, name: string): LeaveView {
    const { registry, views } = this.#parts
    const id = expectOk(registry.resolvePublisher(publisher))
    const rule = registry.trust.roster(id, name)
    if (rule === null) {
      throw new ZoariumError('NOT_FOUND', 'no roster of that name is followed here', { got: name })
    }
    const concerned = [...new Set([...registry.trust.membersOf(rule), id])]
    const before = new Map(concerned.map((each) => [each, registry.trust.right(each)]))
    registry.leave(id, name)
    return {
      publisher: views.publisher(id),
      name,
      // As they stand now, beside what they had.
      members: concerned.map((each) => ({
        publisher: views.publisher(each),
        before: before.get(each) ?? 'see',
      })),
    }
  }

  /** Keeps connections to the addresses of the rosters that are followed. */
  connectAll(): void {
    const { registry } = this.#parts
    const addresses = registry.trust.rosters.flatMap(({ bootstrap }) => bootstrap)
    for (const address of new Set(this.#others(addresses))) this.#keep(address)
  }

  #others(addresses: readonly string[]): readonly string[] {
    return addresses.filter((each) => !each.endsWith(`/p2p/${this.#parts.network.peerId}`))
  }

  #keep(address: string): void {
    try {
      this.#parts.network.keep(address)
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      this.#parts.log.warn({ address, err: error }, 'an address of a roster is none')
    }
  }

  async #connect(address: string): Promise<AddressView> {
    this.#keep(address)
    try {
      await this.#parts.network.connect(address)
      return { address, connected: true, error: null }
    } catch (error) {
      if (!(error instanceof ZoariumError)) throw error
      return { address, connected: false, error: error.message }
    }
  }

  /** The freshest file that this node or a connected peer has. */
  async #find(ref: string): Promise<Uint8Array> {
    const { registry, network } = this.#parts
    const of = expectOk(parseCid(ref))
    const here = registry.rosters.find(of)
    if (here.car !== null && registry.rosters.check(here.car).ok) return here.car
    const answers = [here, ...(await network.findRoster(of))]
    const files = answers.flatMap(({ car }) => this.#fitting(of, car))
    const names = new Set(files.map(({ name }) => name))
    const [best] = files.sort((a, b) => b.expires - a.expires)
    if (best !== undefined && names.size === 1) return best.car
    const known = files.length > 0 ? files : answers.flatMap(({ records }) => records)
    if (known.length > 0) {
      const ids = answers.flatMap(({ records }) => records)
      throw new ZoariumError('AMBIGUOUS', 'its issuer has several rosters', {
        got: ref,
        hint: `join one of: ${[...new Set(ids)].slice(0, MAX_SHOWN).join(', ')}`,
      })
    }
    throw new ZoariumError('NOT_FOUND', 'no connected peer has a roster of that id', {
      got: ref,
      hint: 'connect to a node that has it, with zoarium peers add, or join by address or file',
    })
  }

  /** A peer's file counts where it is what was asked for. One that may not be relied on comes last. */
  #fitting(of: Cid, car: Uint8Array | null): readonly FoundFile[] {
    const read = car === null ? null : readRosterCar(car)
    if (car === null || !read?.ok) return []
    const { identity, signed, body, newest } = read.value
    if (identity.publisher !== of && signed.id !== of) return []
    const isSound = this.#parts.registry.rosters.check(car).ok
    return [{ car, name: body.name, expires: isSound ? newest.expires : 0 }]
  }

  #joinView({ roster, right, before, added, removed }: JoinPlan) {
    const { views } = this.#parts
    const { identity, signed, body, newest } = roster
    const { publisher } = identity
    const isNew = new Set(added)
    return {
      publisher: views.publisher(publisher),
      fingerprint: fingerprintOf(publisher),
      name: body.name,
      record: signed.id,
      signed: new Date(signed.record.ts).toISOString(),
      fresh: new Date(newest.expires).toISOString(),
      recommends: body.right,
      right,
      before: before?.right ?? null,
      members: body.members.map((each) => this.#member(each, right, isNew.has(each))),
      removed: removed.map((each) => views.publisher(each)),
    }
  }

  /** A member with the right that it has once the roster is followed. */
  #member(publisher: Cid, right: Right, isNew: boolean): MemberView {
    const { registry, views } = this.#parts
    const { trust } = registry
    const rule = trust.rule(publisher)
    const isOwn = publisher === registry.publisher
    const present = trust.right(publisher)
    const isGreater = RIGHTS.indexOf(present) > RIGHTS.indexOf(right)
    return {
      publisher: views.publisher(publisher),
      right: rule?.right ?? (isGreater ? present : right),
      because: isOwn ? 'own' : rule === null ? 'roster' : 'rule',
      isNew,
    }
  }
}

const waitingOf = ({ standing }: RosterState, followed: RosterRule): readonly Cid[] => {
  const accepted = new Set(followed.members)
  return standing?.body.members.filter((each) => !accepted.has(each)) ?? []
}
