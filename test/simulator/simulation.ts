/**
 * One run: a plan carried out in virtual time, watched by the oracle. First everything that the
 * plan does to the nodes; then all faults end, the owners of stolen keys revoke them, and the
 * honest nodes must agree within a stated number of rounds. Liars go on lying.
 */
import { expectOk } from '../../protocol/errors.ts'
import { readIdentity } from '../../protocol/identity.ts'
import { createIdentity } from '../../registry/new-identity.ts'
import { START } from '../helpers/publisher.ts'
import { Agenda } from './agenda.ts'
import { audit } from './audit.ts'
import { ByzantineNode } from './byzantine/byzantine-node.ts'
import { strategyOf } from './byzantine/strategies.ts'
import { difference } from './convergence.ts'
import { cryptoCounts, useScheme } from './crypto.ts'
import { Disk, type Snapshot } from './disk.ts'
import { armFailpoint, disarmFailpoint } from './failpoint.ts'
import { FAIR } from './link.ts'
import { Network } from './network.ts'
import { type Sabotage, SimulatedNode } from './node.ts'
import { Operator } from './operator.ts'
import { Oracle } from './oracle.ts'
import type { Plan, PlanEvent } from './plan.ts'
import { Random } from './random.ts'
import { forgetReadings } from './reading.ts'
import { Root } from './root.ts'
import { Tally } from './tally.ts'
import { Violation } from './violation.ts'

/** Rounds after the last fault within which honest nodes agree. */
export const CONVERGENCE_ROUNDS = 4
/**
 * Time of a round after the last fault: in two of them all nodes say anew who they are, on which
 * depends who may read private logs.
 */
const QUIET_ROUND_MS = 6 * 60_000
/** The longest that one node shuts another one out. */
const BAN_MS = 3600_000
/** What a run does for each pair of nodes; beyond, something goes round in circles. */
const MAX_STEPS_PER_PAIR = 8_000
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const START_MS = START + 1000 * 24 * 3600 * 1000

export interface Outcome {
  readonly seed: string
  /** Null: every promise was kept. */
  readonly failure: { readonly invariant: string; readonly message: string } | null
  readonly counts: Readonly<Record<string, number>>
  /** Virtual milliseconds. */
  readonly virtualMs: number
  /** Of everything that the nodes hold at the end; equal for equal runs. */
  readonly digest: string
}

export async function simulate(plan: Plan, sabotage: Sabotage | null = null): Promise<Outcome> {
  const simulation = new Simulation(plan, sabotage)
  return simulation.run()
}

interface Member {
  readonly node: SimulatedNode
  readonly operator: Operator
}

class Simulation {
  readonly #plan: Plan
  readonly #tally = new Tally()
  readonly #agenda = new Agenda(START_MS)
  readonly #oracle = new Oracle(this.#tally)
  readonly #network: Network
  readonly #members: Member[] = []
  readonly #snapshots = new Map<number, Snapshot>()
  readonly #sabotage: Sabotage | null
  /** No fault begins any more. */
  #isQuiet = false

  constructor(plan: Plan, sabotage: Sabotage | null) {
    this.#plan = plan
    this.#sabotage = sabotage
    forgetReadings()
    useScheme(plan.scheme, { blind: sabotage === 'blind-verification' })
    const random = new Random(`network/${plan.seed}`)
    const patience = plan.roundMs / 2
    this.#network = new Network(this.#agenda, random, this.#tally, patience)
  }

  async run(): Promise<Outcome> {
    try {
      await this.#setUp()
      await this.#act()
      await this.#settle()
      await this.#converge()
      await this.#goOn()
    } catch (error) {
      this.#oracle.fail(error)
    } finally {
      disarmFailpoint()
    }
    const { failure } = this.#oracle
    const digest = this.#digest()
    for (const { node } of this.#members) node.disk.close()
    const crypto = cryptoCounts()
    this.#tally.addAll({
      'events of the plan': this.#plan.events.length,
      steps: this.#agenda.count,
      signatures: crypto.signatures,
      verifications: crypto.verifications,
    })
    return {
      seed: this.#plan.seed,
      failure: failure && { invariant: failure.invariant, message: failure.message },
      counts: this.#tally.toJSON(),
      virtualMs: this.#agenda.now - START_MS,
      digest,
    }
  }

  get #honest(): readonly Member[] {
    return this.#members.filter(({ node }) => !(node instanceof ByzantineNode))
  }

  // Setting up

  async #setUp(): Promise<void> {
    const { nodes, wires, rights, roundMs } = this.#plan
    for (const index of nodes.keys()) this.#create(index)
    for (const index of nodes.keys()) this.#giveKeys(index)
    for (const { node } of this.#members) this.#network.join(node)
    for (const { node } of this.#members) await node.start()
    for (const [index, { node }] of this.#members.entries()) {
      for (const [about, right] of (rights[index] ?? []).entries()) {
        const publisher = this.#members[about]?.node.publisher
        if (publisher === undefined || about === index) continue
        // A liar lists everybody: it wants to hear all.
        const granted = node instanceof ByzantineNode ? 'run' : right
        if (granted !== 'see') node.registry.setTrust({ publisher, right: granted })
      }
    }
    // As `init` does.
    const random = new Random(`profiles/${this.#plan.seed}`)
    for (const { operator } of this.#members) await operator.say('profile', random)
    for (const [a, b] of wires) this.#wire(a, b)
    for (const { node } of this.#members) this.#repeat(node, roundMs)
  }

  #create(index: number): void {
    const { plan } = { plan: this.#plan }
    const spec = plan.nodes[index]
    if (spec === undefined) throw new TypeError('a node of the plan')
    const random = new Random(`node/${plan.seed}/${index}`)
    const keys = random.fork('keys')
    const made = createIdentity(START_MS - spec.age, () => keys.bytes(32))
    const disk = new Disk(random.fork('disk'), plan.catalogue)
    disk.identity = made.operations
    const name = String.fromCharCode(97 + (index % 26)).repeat(1 + Math.floor(index / 26))
    const parts = {
      name,
      id: this.#idOf(index),
      publisher: made.publisher,
      seeds: made.seeds,
      disk,
      agenda: this.#agenda,
      network: this.#network,
      random: random.fork('node'),
      tally: this.#tally,
      watcher: this.#oracle,
      recordsPerDay: spec.strategies === null ? plan.recordsPerDay : undefined,
      sabotage: spec.strategies === null ? this.#sabotage : null,
    }
    const node =
      spec.strategies === null
        ? new SimulatedNode(parts)
        : new ByzantineNode(parts, {
            strategies: spec.strategies.map(strategyOf),
            peers: plan.nodes.map((_, each) => this.#idOf(each)),
            onStolen: (record) => this.#oracle.stole(record),
          })
    const operator = new Operator({
      node,
      root: new Root(made, random.fork('root')),
      onAcknowledged: (signer, signed) => this.#oracle.acknowledged(signer, signed),
      isStolen: (record) => this.#oracle.isStolen(record),
    })
    if (node instanceof ByzantineNode) node.operator = operator
    else this.#oracle.watch(node)
    this.#members.push({ node, operator })
  }

  /** The keys that `init` does not make: to erase, and to sign for some alone. */
  #giveKeys(index: number): void {
    const { node, operator } = this.#member(index)
    const { erases = false, audience = null, age = 0 } = this.#plan.nodes[index] ?? {}
    const ts = START_MS - age
    const publishers = (audience ?? []).map((each) => this.#member(each).node.publisher).sort()
    const operations = [
      ...(erases ? [operator.root.delegation('erase', ts)] : []),
      ...(audience === null ? [] : [operator.root.confiding({ publishers, rosters: [] }, ts)]),
    ]
    const before = expectOk(readIdentity(node.disk.identity))
    node.disk.identity = [...node.disk.identity, ...operator.root.sign(before, operations)]
    const identity = expectOk(readIdentity(node.disk.identity))
    node.seeds = operator.root.seeds(identity)
    this.#oracle.meet(node.id, node.publisher)
    for (const { key, audience: some } of identity.devices) {
      if (some !== undefined) this.#oracle.confided(key, [node.publisher, ...some.publishers])
    }
  }

  /** Like a PeerId in base58. */
  #idOf(index: number): string {
    const digits = [Math.floor(index / BASE58.length), index % BASE58.length]
    return `12D3KooW${'n'.repeat(42)}${digits.map((digit) => BASE58[digit]).join('')}`
  }

  #member(index: number): Member {
    const member = this.#members[index]
    if (member === undefined) throw new TypeError('a node of the plan')
    return member
  }

  #wire(a: number, b: number): void {
    this.#network.wire(this.#member(a).node, this.#member(b).node)
  }

  // The first part: everything that the plan does

  async #act(): Promise<void> {
    const { events, rounds, roundMs } = this.#plan
    for (const event of events) {
      this.#agenda.after(event.at, () => this.#perform(event))
    }
    await this.#runFor(rounds * roundMs)
  }

  /** Rounds of sync, as long as the first part lasts. */
  #repeat(node: SimulatedNode, roundMs: number): void {
    const next = (): void => {
      const ms = roundMs * (0.8 + 0.4 * node.random.float())
      this.#agenda.after(ms, () => {
        if (this.#agenda.now > START_MS + this.#plan.rounds * roundMs) return
        node.round()
        this.#oracle.sweep(node)
        next()
      })
    }
    next()
  }

  async #runFor(ms: number): Promise<void> {
    const until = this.#agenda.now + ms
    for (let work = this.#agenda.next(until); work !== null; work = this.#agenda.next(until)) {
      const going = work()
      if (going !== undefined) await going
      if (this.#oracle.failure !== null) throw this.#oracle.failure
      if (this.#agenda.count > MAX_STEPS_PER_PAIR * this.#members.length ** 2) {
        throw new Violation('comes to rest', '-', `${this.#agenda.count} steps`)
      }
    }
  }

  async #perform(event: PlanEvent): Promise<void> {
    const random = new Random(`event/${this.#plan.seed}/${event.salt}`)
    switch (event.do) {
      case 'say': {
        const { node, operator } = this.#member(event.node)
        await this.#mayDie(node, event.dies, async () => {
          for (const what of event.what) if (node.isUp) await operator.say(what, random)
        })
        return
      }
      case 'govern': {
        const { node, operator } = this.#member(event.node)
        await this.#mayDie(node, event.dies, () => operator.govern(event.what, event.scope))
        return
      }
      case 'settle': {
        const { node, operator } = this.#member(event.node)
        await node.act(() => operator.settle())
        return
      }
      case 'audit': {
        const { node } = this.#member(event.node)
        if (node.isUp) audit(node, this.#tally)
        return
      }
      case 'trust':
        return this.#rule(event)
      case 'misbehave': {
        const { node } = this.#member(event.node)
        if (node instanceof ByzantineNode) await node.misbehave()
        return
      }
      case 'steal':
        return this.#steal(event)
      case 'weather': {
        this.#tally.add('fault: weather')
        this.#network.setWeather(event.weather)
        this.#agenda.after(event.ms, () => this.#network.setWeather(FAIR))
        return
      }
      case 'part':
        return this.#part(event)
      case 'clog':
        return this.#clog(event)
      default:
        return this.#break(event)
    }
  }

  /** What a person does at a node, which may die of it. */
  async #mayDie(
    node: SimulatedNode,
    dies: string | undefined,
    work: () => Promise<void>,
  ): Promise<void> {
    if (!node.isUp) return
    if (dies !== undefined) armFailpoint(dies, () => node.disk.die())
    await node.act(work)
    disarmFailpoint()
    if (node.isUp) return
    this.#tally.add(dies === undefined ? 'fault: died of it' : `fault: died at ${dies}`)
    this.#reviveLater(node, 1000)
  }

  #reviveLater(node: SimulatedNode, ms: number): void {
    this.#agenda.after(ms, () => this.#revive(node))
  }

  async #revive(node: SimulatedNode): Promise<void> {
    if (node.isUp) return
    await node.start()
    if (!node.isUp) this.#reviveLater(node, this.#plan.roundMs)
    const operator = this.#members.find((each) => each.node === node)?.operator
    if (node.isUp && operator !== undefined) await node.act(() => operator.takeUpKeys())
  }

  #rule({ node: index, about, right }: Extract<PlanEvent, { readonly do: 'trust' }>): void {
    const { node } = this.#member(index)
    const { publisher } = this.#member(about).node
    node.enter(() => {
      this.#tally.add('trust changed')
      if (right === null) node.registry.removeTrust(publisher)
      else node.registry.setTrust({ publisher, right })
    })
  }

  #steal({ node: index, from, what }: Extract<PlanEvent, { readonly do: 'steal' }>): void {
    const thief = this.#member(index).node
    const { node: victim, operator } = this.#member(from)
    if (!(thief instanceof ByzantineNode) || !victim.isUp) return
    const identity = victim.registry.identity(victim.publisher)
    if (identity === null) return
    const { publisher } = victim
    const { seed } = victim.registry.signer.device('publish')
    const seeds = what === 'device' ? [seed] : operator.root.inForce(identity)
    thief.loot.push({ publisher, seeds, what })
    this.#tally.add(`fault: ${what} key stolen`)
  }

  // Faults of the network

  #part({ from, to, isOneWay, ms }: Extract<PlanEvent, { readonly do: 'part' }>): void {
    this.#tally.add(isOneWay ? 'fault: one-way partition' : 'fault: partition')
    const ids = (indexes: readonly number[]) => indexes.map((each) => this.#member(each).node.id)
    const pairs = ids(from).flatMap((a) =>
      ids(to).flatMap((b) =>
        isOneWay
          ? [[a, b] as const]
          : ([
              [a, b],
              [b, a],
            ] as const),
      ),
    )
    for (const [a, b] of pairs) this.#network.cut(a, b)
    this.#agenda.after(ms, () => {
      for (const [a, b] of pairs) this.#network.mend(a, b)
    })
  }

  #clog({ nodes, freed, step }: Extract<PlanEvent, { readonly do: 'clog' }>): void {
    this.#tally.add('fault: swizzle-clog')
    const linksOf = (index: number) => {
      const { id } = this.#member(index).node
      return this.#network.links().filter(({ from, to }) => from === id || to === id)
    }
    for (const [turn, index] of nodes.entries()) {
      this.#agenda.after(turn * step, () => {
        if (this.#isQuiet) return
        for (const { link } of linksOf(index)) link.clog()
      })
    }
    for (const [turn, index] of freed.entries()) {
      this.#agenda.after((nodes.length + turn) * step, () => {
        for (const { link } of linksOf(index)) link.unclog()
      })
    }
  }

  // Faults of nodes

  #break(event: NodeFault): void {
    const { node } = this.#member(event.node)
    switch (event.do) {
      case 'crash':
        if (!node.isUp) return
        this.#tally.add('fault: crash')
        node.crash()
        this.#reviveLater(node, event.ms)
        return
      case 'crash-at-write':
        this.#tally.add('fault: crash at a write')
        node.disk.failWrite('crash', event.writes)
        this.#agenda.after(this.#plan.roundMs * 2, () => {
          node.disk.calm()
          return this.#revive(node)
        })
        return
      case 'write-error':
        this.#tally.add('fault: write error')
        node.disk.failWrite('error', event.writes)
        return
      case 'full':
        this.#tally.add('fault: disk full')
        node.disk.isFull = true
        this.#agenda.after(event.ms, () => {
          node.disk.isFull = false
          return this.#revive(node)
        })
        return
      case 'snapshot':
        if (node.isUp) this.#snapshots.set(event.node, node.disk.snapshot())
        return
      case 'restore':
        this.#restore(event.node, event.isWhole)
        return
      case 'clock':
        this.#tally.add('fault: clock jump')
        node.clock.offset = event.offset
        return
    }
  }

  /**
   * @param isAll the ledger too, as with the snapshot of a machine. A log of which nothing had been
   * given away then looks like a lone node's, which is never in doubt of itself: a known limit.
   */
  #restore(index: number, isAll: boolean): void {
    const snapshot = this.#snapshots.get(index)
    const { node } = this.#member(index)
    if (snapshot === undefined) return
    const { shared } = node.disk.ledgerState
    const isWhole = isAll && [...shared].every((key) => snapshot.ledger.shared.has(key))
    this.#tally.add(isWhole ? 'fault: restore of all' : 'fault: restore of the database')
    node.crash()
    node.disk.restore(snapshot, isWhole)
    this.#oracle.restored(node)
    this.#reviveLater(node, 1000)
  }

  // The second part: no more faults

  /** Everything works again, and all may connect with all. */
  async #settle(): Promise<void> {
    this.#isQuiet = true
    this.#network.heal()
    for (const { node } of this.#members) {
      node.disk.calm()
      node.disk.isFull = false
      node.clock.offset = 0
      await this.#revive(node)
    }
    for (const a of this.#members.keys()) {
      for (const b of this.#members.keys()) if (a < b) this.#wire(a, b)
    }
    // What is over a quota would follow in the days to come; operators can also raise it.
    for (const { node } of this.#honest) {
      if (node.recordsPerDay === undefined) continue
      node.stop()
      node.recordsPerDay = undefined
      await this.#revive(node)
    }
    // Those who were shut out may come back, and timeouts run out.
    await this.#runFor(2 * BAN_MS)
    for (let n = 0; n < CONVERGENCE_ROUNDS / 2; n++) await this.#round()
    for (const { node, operator } of this.#honest) {
      await node.act(() => operator.settle())
      await node.act(() => operator.moveOn())
    }
  }

  async #round(): Promise<void> {
    for (const { node } of this.#members) node.round()
    await this.#runFor(QUIET_ROUND_MS)
    for (const { node } of this.#honest) this.#oracle.sweep(node)
  }

  async #converge(): Promise<void> {
    await this.#agree()
    for (const { node } of this.#honest) audit(node, this.#tally)
  }

  async #agree(): Promise<void> {
    let found: string | null = null
    for (let round = 1; round <= CONVERGENCE_ROUNDS; round++) {
      await this.#round()
      found = this.#difference()
      if (found !== null) continue
      this.#tally.add(`agreed in ${round} rounds`)
      return
    }
    if (found !== null) throw new Violation('honest nodes agree', '-', found)
  }

  #difference(): string | null {
    return difference({
      nodes: this.#honest.map(({ node }) => node),
      now: this.#agenda.now,
      mayKnow: (node, key) => this.#oracle.mayKnow(node.publisher, key),
    })
  }

  /** The federation works: what is signed now is soon everywhere where it may be. */
  async #goOn(): Promise<void> {
    const random = new Random(`after/${this.#plan.seed}`)
    // A thief may show only now what he has signed in secret: people are told, and settle it.
    await this.#allSpeak(random)
    for (const { node, operator } of this.#honest) {
      await node.act(() => operator.settle())
      await node.act(() => operator.moveOn())
    }
    const [mute] = await this.#allSpeak(random)
    if (mute !== undefined) {
      throw new Violation('honest nodes can go on', mute.name, 'cannot sign')
    }
  }

  /** @returns those that cannot, and whose identity is not frozen */
  async #allSpeak(random: Random): Promise<readonly SimulatedNode[]> {
    const mute: SimulatedNode[] = []
    for (const { node, operator } of this.#honest) {
      const before = node.registry.counts().records
      await operator.say('profile', random)
      const isHeard = node.registry.counts().records > before
      if (!isHeard && !node.registry.isFrozen(node.publisher)) mute.push(node)
    }
    await this.#agree()
    return mute
  }

  #digest(): string {
    const lines = this.#members.map(({ node }) =>
      node.isUp
        ? node.registry
            .logs()
            .map(
              ({ publisher, key, epoch, seq, tip }) => `${publisher} ${key} ${epoch}.${seq} ${tip}`,
            )
            .join('\n')
        : 'down',
    )
    return `${this.#agenda.count} ${this.#agenda.now} ${new Random(lines.join('\n')).bits()}`
  }
}

type NodeFault = Extract<
  PlanEvent,
  {
    readonly do:
      | 'crash'
      | 'crash-at-write'
      | 'write-error'
      | 'full'
      | 'snapshot'
      | 'restore'
      | 'clock'
  }
>
