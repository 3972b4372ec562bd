/** Makes foreign text safe to print: nothing in it may steer a terminal or change reading order. */

/**
 * Controls (C0, DEL, C1), halves of surrogate pairs, and formatting marks: bidirectional controls,
 * zero-width characters, line and paragraph separators, byte order marks.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

const escapeOf = (character: string): string =>
  Array.from({ length: character.length }, (_, i) => character.charCodeAt(i))
    .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
    .join('')

/** One line of text with every unprintable character shown as `\uXXXX`. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escapeOf)

/**
 * JSON with the same characters escaped: equal to the plain form for every parser.
 * @param indent blanks for each level; 0: all on one line
 */
export const printableJson = (value: unknown, indent: number): string =>
  JSON.stringify(value, null, indent).replace(UNPRINTABLE, (character) =>
    character === '\n' ? character : escapeOf(character),
  )
