/** Why a publisher or a model has the rights that it has here: the rule, its line, what changes it. */
import type { AttestationView, RightView, TrustExplanation } from '../protocol/api.ts'
import { type Cid, parseCid } from '../protocol/cid.ts'
import { expectOk, ZoariumError } from '../protocol/errors.ts'
import { peekRecord } from '../protocol/record.ts'
import type { ModelRow } from '../registry/catalogue.ts'
import type { Registry } from '../registry/registry.ts'
import { type Grant, RIGHTS, type Right, type RunRule } from '../registry/trust.ts'
import { whyForbidden } from './runnable.ts'
import type { Views } from './views.ts'

/** What a reference is about. */
interface Subject {
  readonly publisher: Cid
  readonly model: ModelRow | null
}

export class Explanation {
  readonly #registry: Registry
  readonly #views: Views

  constructor(registry: Registry, views: Views) {
    this.#registry = registry
    this.#views = views
  }

  /**
   * @param ref a publisher, a model, or the id of any record; also of those that are not listed
   * @throws ZoariumError NOT_FOUND, AMBIGUOUS, REF, VERSION_CONFLICT
   */
  of(ref: string): TrustExplanation {
    const registry = this.#registry
    const { publisher, model } = this.#subject(ref)
    return {
      ref,
      publisher: this.#views.publisher(publisher),
      contested: registry.isFrozen(publisher),
      model:
        model === null
          ? null
          : {
              record: model.record,
              ref: this.#views.ref(model),
              root: model.root,
              withdrawn: model.withdrawn,
              contested: registry.isContested(model.record),
              ...this.#fetching(model),
            },
      rights: [
        ...RIGHTS.map((right) =>
          right === 'run' && model !== null ? this.#run(model) : this.#right(publisher, right),
        ),
        this.#send(publisher),
      ],
      attestations: model === null ? [] : this.#attestations(model),
    }
  }

  #fetching(model: ModelRow) {
    const { fetch, floor, because, rule } = this.#registry.mirrorDecision(model)
    const fetchBecause = {
      own: 'it is your own',
      pin: `it is pinned; zoarium unpin ${model.record}`,
      rule: `a mirror rule says so${at(rule?.line)}`,
      otherwise: 'no mirror rule fits it',
    }[because]
    return { fetch, floor, fetchBecause }
  }

  #subject(ref: string): Subject {
    const registry = this.#registry
    const cid = parseCid(ref)
    if (cid.ok) {
      const row = registry.catalogue.record(cid.value)
      if (row === null) return { publisher: cid.value, model: null }
      const { publisher } = expectOk(peekRecord(row.envelope))
      return { publisher, model: registry.catalogue.model(cid.value) }
    }
    const named = ref.includes('/') ? null : registry.resolvePublisher(ref)
    if (named?.ok) return { publisher: named.value, model: null }
    const model = registry.resolve(ref)
    if (model.ok) return { publisher: model.value.publisher, model: model.value }
    // Of a publisher that is not listed nothing but its rights can be told.
    const [owner = ''] = ref.split('/')
    if (model.code !== 'TRUST') throw ZoariumError.of(model)
    return { publisher: expectOk(registry.resolvePublisher(owner)), model: null }
  }

  #right(publisher: Cid, right: Right): RightView {
    const { trust } = this.#registry
    const grant = trust.grant(publisher)
    const granted = trust.may(publisher, right)
    const name = this.#views.nameOf(publisher)
    const change = changeOf(grant, right, granted, name)
    return { right, granted, because: this.#because(grant), line: lineOf(grant), change }
  }

  #because({ because, right, rule, roster }: Grant): string {
    switch (because) {
      case 'own':
        return 'it is your own publisher, which may everything here'
      case 'rule':
        return `a rule gives it "${right}"${at(rule?.line)}`
      case 'roster':
        return `the ${this.#nameOf(roster)} gives its members "${right}"${at(roster?.line)}`
      case 'issuer':
        return `it issues the ${this.#nameOf(roster)}, and is listed for that${at(roster?.line)}`
      case 'default':
        return 'no rule names it: a stranger is seen, and neither listed nor fetched nor run'
    }
  }

  #nameOf(roster: Grant['roster']): string {
    return roster === null
      ? 'roster'
      : `roster ${roster.name} of ${this.#views.nameOf(roster.publisher)}`
  }

  #run(model: ModelRow): RightView {
    const registry = this.#registry
    const right = 'run'
    const forbidden = whyForbidden(registry, model)
    if (forbidden !== null && forbidden.code !== 'TRUST') {
      const because = `${forbidden.message} [${forbidden.code}]`
      return { right, granted: false, because, line: null, change: null }
    }
    const verdict = registry.mayRun(model)
    if (verdict.ok && verdict.value.because === 'publisher') {
      return this.#right(model.publisher, right)
    }
    const rules = registry.runRulesFor(model)
    if (verdict.ok && verdict.value.because === 'attested') {
      const { rule } = verdict.value
      const because = this.#counted(model, rule)
      return { right, granted: true, because, line: rule.line, change: null }
    }
    const view = this.#right(model.publisher, right)
    const counts = rules.map((rule) => this.#counted(model, rule))
    return { ...view, because: [view.because, ...counts].join('; ') }
  }

  /** `vouched for by 1 (embl) of embl, crick; 2 are needed (line 9 of trust.yaml)` */
  #counted(model: ModelRow, { attested, of, line }: RunRule): string {
    const vouching = this.#registry
      .attestations(model)
      .filter((each) => each.void === null)
      .map(({ publisher }) => publisher)
    const by = of.filter((each) => vouching.includes(each)).map((each) => this.#views.nameOf(each))
    const who = by.length === 0 ? '' : ` (${by.join(', ')})`
    return `${by.length}${who} of ${of.length} publishers vouch for it, ${attested} needed${at(line)}`
  }

  #send(publisher: Cid): RightView {
    const { trust } = this.#registry
    const rule = trust.rule(publisher)
    const granted = trust.maySend(publisher)
    const isOwn = publisher === trust.own
    const right = trust.may(publisher, 'list') ? trust.right(publisher) : 'list'
    const flag = granted ? '--no-send' : '--send'
    return {
      right: 'send',
      granted,
      because: isOwn
        ? 'images stay in your own institution'
        : granted
          ? `a rule lets images go to its nodes${at(rule?.line)}`
          : 'no rule lets images go to its nodes',
      line: rule?.line ?? null,
      change: isOwn ? null : `zoarium trust add ${this.#views.nameOf(publisher)} ${right} ${flag}`,
    }
  }

  #attestations(model: ModelRow): readonly AttestationView[] {
    const named = new Set(this.#registry.runRulesFor(model).flatMap(({ of }) => of))
    return this.#registry.attestations(model).map(({ record, publisher, claim, ...row }) => {
      const reason = row.void ?? (named.has(publisher) ? null : 'no run rule names its publisher')
      return {
        record,
        publisher: this.#views.publisher(publisher),
        claim,
        counts: reason === null,
        because: reason ?? 'a run rule names its publisher',
      }
    })
  }
}

/** The command that turns a right round; everybody is seen, and the own publisher may everything. */
function changeOf(
  { because, roster }: Grant,
  right: Right,
  granted: boolean,
  name: string,
): string | null {
  if (because === 'own') return null
  // As long as its roster is followed, so is its log.
  if (because === 'issuer' && granted && right !== 'see') return `zoarium leave ${roster?.name}`
  const target = granted ? RIGHTS[RIGHTS.indexOf(right) - 1] : right
  return target === undefined ? null : `zoarium trust add ${name} ${target}`
}

const lineOf = ({ rule, roster }: Grant): number | null => rule?.line ?? roster?.line ?? null

const at = (line: number | null | undefined): string =>
  line === null || line === undefined ? '' : ` (line ${line} of trust.yaml)`
