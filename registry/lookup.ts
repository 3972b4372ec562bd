/**
 * From names to things. docs/protocol.md, "References".
 *
 * A publisher is named by its id, by what this node calls it (petname), by its verified handle, or by
 * the label that its profile claims. Anybody can claim any label, so a label counts only for
 * publishers with the right to be listed here; a handle that is not verified names nobody.
 */
import { type Cid, parseCid } from '../protocol/cid.ts'
import { accept, type Failure, refuse, type Verdict } from '../protocol/errors.ts'
import { HANDLE_PATTERN, parseReference } from '../protocol/reference.ts'
import type { Catalogue, ModelRow } from './catalogue.ts'
import type { Handles } from './handles.ts'
import type { TrustPolicy } from './trust.ts'

export class Lookup {
  readonly #catalogue: Catalogue
  readonly #handles: Pick<Handles, 'publisherOf'>
  readonly #policy: () => TrustPolicy

  constructor(
    catalogue: Catalogue,
    handles: Pick<Handles, 'publisherOf'>,
    policy: () => TrustPolicy,
  ) {
    this.#catalogue = catalogue
    this.#handles = handles
    this.#policy = policy
  }

  /**
   * The publisher of a name; strangers too, where nobody listed has that label.
   * Fails with NOT_FOUND, AMBIGUOUS.
   */
  publisher(text: string): Verdict<Cid> {
    const cid = parseCid(text)
    if (cid.ok) return cid
    const named = this.#policy().byPetname(text)
    if (named !== null) return accept(named)
    if (HANDLE_PATTERN.test(text)) {
      const confirmed = this.#handles.publisherOf(text)
      return confirmed === null ? unconfirmed(text) : accept(confirmed)
    }
    const all = this.#catalogue.profilesByLabel(text).map((profile) => profile.publisher)
    const listed = all.filter((each) => this.#policy().may(each, 'list'))
    const found = listed.length > 0 ? listed : all
    const [only, ...more] = found
    if (only === undefined) {
      return refuse('NOT_FOUND', 'no publisher of that name is known here', {
        got: text,
        hint: 'connect to one of its nodes, or use its id',
      })
    }
    if (more.length === 0) return accept(only)
    return refuse('AMBIGUOUS', `${found.length} publishers go by the name ${text}`, {
      got: text,
      hint: `use the id: ${found.slice(0, 5).join(', ')}`,
    })
  }

  /**
   * The model version that a reference names: `@latest`, the default, is the newest one that was
   * not withdrawn. A version or a record id finds withdrawn ones too.
   *
   * Fails with REF, CID_TEXT, NOT_FOUND, AMBIGUOUS, TRUST (the publisher is not listed here), ERASED,
   * or VERSION_CONFLICT.
   */
  model(text: string): Verdict<ModelRow> {
    const found = this.withErased(text)
    return found.ok && found.value.withdrawn === 'erase' ? this.#erased(found.value) : found
  }

  #erased({ record }: ModelRow): Failure {
    const erasure = this.#catalogue.erasures().find((each) => each.record === record)
    const message = erasure?.isHere
      ? "this node's operator erased the model here"
      : 'its publisher erased the model'
    return refuse('ERASED', message, { got: record })
  }

  /** Like {@link model}, for who may still do something about one that was erased. */
  withErased(text: string): Verdict<ModelRow> {
    const parsed = parseReference(text)
    if (!parsed.ok) return parsed
    const reference = parsed.value
    if (reference.kind === 'record') return this.#listed(this.#catalogue.model(reference.cid), text)
    if (reference.kind === 'alias') return this.#alias(reference.text)

    const publisher = this.publisher(reference.publisher)
    if (!publisher.ok) return publisher
    if (!this.#policy().may(publisher.value, 'list')) return unlisted(publisher.value)
    const versions = this.#catalogue.modelVersions(publisher.value, reference.name)
    if (versions.length === 0) return missing(text, 'the publisher has no model of that name here')
    if (reference.tag !== null) {
      const [standing] = this.#catalogue.tags(publisher.value, reference.name, reference.tag)
      const tagged = versions.find((each) => each.record === standing?.target)
      return tagged === undefined ? missing(text, 'no such tag', versions) : accept(tagged)
    }
    if (reference.version === null) {
      const standing = versions.find((each) => each.withdrawn === null)
      if (standing === undefined) return missing(text, 'all versions are withdrawn', versions)
      return this.#one(versions.filter((each) => each.version === standing.version))
    }
    const same = versions.filter((each) => each.version === reference.version)
    return same.length === 0 ? missing(text, 'no such version', versions) : this.#one(same)
  }

  /**
   * One of the records of a version: those that stand go before those withdrawn. Records of one root
   * are one model.
   */
  #one(same: readonly ModelRow[]): Verdict<ModelRow> {
    const standing = same.filter((each) => each.withdrawn === null)
    // SAFE: callers pass at least one.
    const [first] = (standing.length > 0 ? standing : same) as readonly [ModelRow]
    if (new Set(standing.map(({ root }) => root)).size < 2) return accept(first)
    const records = standing.map((each) => each.record)
    return refuse('VERSION_CONFLICT', `${first.name}@${first.version} was published twice`, {
      got: `${first.name}@${first.version}`,
      hint: `use a record id: ${records.join(', ')}`,
    })
  }

  /** Models of one root are one model: the name is ambiguous only where roots differ. */
  #alias(alias: string): Verdict<ModelRow> {
    const found = this.#catalogue.modelsByAlias(alias)
    const listed = found.filter((each) => this.#policy().may(each.publisher, 'list'))
    const standing = listed.filter((each) => each.withdrawn === null)
    const candidates = standing.length > 0 ? standing : listed
    const roots = new Set(candidates.map((each) => each.root))
    const [first] = candidates
    if (first === undefined) return missing(alias, 'nothing of that name is known here')
    if (roots.size === 1) return accept(first)
    // Of one publisher's own versions, the newest is meant.
    const [publisher] = new Set(candidates.map((each) => each.publisher))
    const names = new Set(candidates.map((each) => `${each.publisher}/${each.name}`))
    if (names.size === 1 && publisher !== undefined) {
      const ids = new Set(candidates.map((each) => each.record))
      const versions = this.#catalogue.modelVersions(publisher, first.name)
      return accept(versions.find((each) => ids.has(each.record)) ?? first)
    }
    return refuse('AMBIGUOUS', `${roots.size} models go by the name ${alias}`, {
      got: alias,
      hint: `use one of: ${[...names].slice(0, 5).join(', ')}`,
    })
  }

  #listed(model: ModelRow | null, text: string): Verdict<ModelRow> {
    if (model === null) return missing(text, 'no model record of that id is here')
    return this.#policy().may(model.publisher, 'list') ? accept(model) : unlisted(model.publisher)
  }
}

const missing = (text: string, message: string, versions: readonly ModelRow[] = []): Failure =>
  refuse('NOT_FOUND', message, {
    got: text,
    ...(versions.length === 0
      ? {}
      : {
          hint: `versions here: ${versions
            .slice(0, 10)
            .map((each) => each.version)
            .join(', ')}`,
        }),
  })

const unconfirmed = (handle: string): Failure =>
  refuse('NOT_FOUND', 'no publisher of that handle was verified here', {
    got: handle,
    hint: 'handles are checked for publishers with a trust rule; zoarium peers says how it went',
  })

const unlisted = (publisher: Cid): Failure =>
  refuse('TRUST', 'no rule lists models of this publisher', {
    got: publisher,
    hint: `to list them: zoarium trust add ${publisher} list`,
  })
