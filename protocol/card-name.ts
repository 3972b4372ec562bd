/** Which file of a package is its card. */
import { accept, refuse, type Verdict } from './errors.ts'

/** Preferred names, the best first. */
const CARD_NAMES = ['rdf.yaml', 'bioimageio.yaml', 'model.yaml'] as const
const CARD_SUFFIX = /\.(rdf|bioimageio)\.yaml$/

/** Whether a file of this name may be found as a card. */
export const isCardName = (name: string): boolean =>
  CARD_NAMES.some((each) => each === name) || CARD_SUFFIX.test(name)

/**
 * Finds the card among the names at the top of a package. Fails with NOT_A_PACKAGE where there is
 * none, or several of which none is preferred.
 */
export function findCard(names: readonly string[]): Verdict<string> {
  const preferred = CARD_NAMES.find((name) => names.includes(name))
  if (preferred !== undefined) return accept(preferred)
  const [only, ...others] = names.filter((name) => CARD_SUFFIX.test(name)).sort()
  if (only === undefined) {
    return refuse('NOT_A_PACKAGE', 'there is no card at the top of the package', {
      limit: `${CARD_NAMES.join(', ')}, *.rdf.yaml or *.bioimageio.yaml`,
      got: names.slice(0, 8).join(', ') || 'no files',
    })
  }
  if (others.length > 0) {
    return refuse('NOT_A_PACKAGE', 'the package has several cards', {
      got: [only, ...others].slice(0, 8).join(', '),
      hint: `name the one that is meant, e.g. the file ${only} itself`,
    })
  }
  return accept(only)
}
