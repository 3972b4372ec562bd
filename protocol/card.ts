/**
 * Reads a card (rdf.yaml) into the normal form. docs/protocol.md, "Cards".
 *
 * The card's bytes are the truth and are kept; what is read here is a view. One pass lists every
 * finding with its field and line. What the field's own library repairs on loading is repaired
 * here too, and said in a warning.
 */
import { Field, Findings } from './card-field.ts'
import { NEWEST_PATCH_OF_0_4, readCard04 } from './card-v0-4.ts'
import { NEWEST_PATCH_OF_0_5, readCard05 } from './card-v0-5.ts'
import { type CardNode, readYaml } from './card-yaml.ts'
import { accept, type Issue, refuse, refuseAll, type Verdict } from './errors.ts'
import type { ModelDescription } from './model-description.ts'

interface Format {
  readonly read: (root: Field, formatVersion: string) => ModelDescription
  readonly newestPatch: number
  /** Unknown fields were allowed, and published cards have them. */
  readonly isOpen: boolean
}
/** By the minor version. */
const FORMATS: Readonly<Record<string, Format>> = {
  4: { read: readCard04, newestPatch: NEWEST_PATCH_OF_0_4, isOpen: true },
  5: { read: readCard05, newestPatch: NEWEST_PATCH_OF_0_5, isOpen: false },
}

export interface Card {
  readonly description: ModelDescription
  readonly warnings: readonly Issue[]
}

/**
 * Fails with YAML, YAML_ALIAS, UTF8, DEPTH, LIMIT where the text cannot be read, NOT_A_PACKAGE
 * where it describes no model, FORMAT_VERSION, and CARD_INVALID with every finding in `issues`.
 */
export function readCard(bytes: Uint8Array): Verdict<Card> {
  const tree = readYaml(bytes)
  return tree.ok ? readTree(tree.value) : tree
}

function readTree(tree: CardNode): Verdict<Card> {
  if (tree.kind !== 'map') return refuse('NOT_A_PACKAGE', 'the card is not a map of fields')
  const findings = new Findings()
  const root = new Field(findings, '', tree, tree.line)
  const type = root.at('type')
  const isModel = type.node?.kind === 'scalar' && type.node.value === 'model'
  if (!isModel && (type.isGiven || !root.at('format_version').isGiven)) {
    return refuse('NOT_A_PACKAGE', 'the card does not describe a model', {
      field: 'type',
      limit: 'model',
      got: type.got(),
    })
  }
  type.required()
  const version = root.at('format_version')
  const text = version.required().text() ?? ''
  const [, minor = '', patch = ''] = /^0\.(\d{1,4})(?:\.(\d{1,6}))?$/.exec(text) ?? []
  const format = FORMATS[minor]
  if (format === undefined) {
    return refuse('FORMAT_VERSION', 'a card format that this node does not read', {
      field: 'format_version',
      limit: '0.4.x or 0.5.x',
      got: version.got(),
      hint: 'convert the card with `bioimageio update-format` and publish the new one',
    })
  }
  findings.isLenient = format.isOpen
  if (Number(patch) > format.newestPatch) {
    findings.isLenient = true
    version.warn(
      'a newer patch than this node knows; fields that it does not know are kept and not read',
      { limit: `0.${minor}.${format.newestPatch}`, got: text },
      'FORMAT_VERSION',
    )
  }
  const description = format.read(root, text)
  const [first, ...rest] = findings.errors
  if (first === undefined) return accept({ description, warnings: findings.warnings })
  const refused = refuseAll([first, ...rest])
  return { ...refused, message: `${first.field}: ${refused.message}` }
}
