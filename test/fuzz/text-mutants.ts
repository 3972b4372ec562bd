/** Mutants of text: what parsers, terminals and file systems stumble over. */
import type { Random } from './random.ts'

const PIECES = [
  '',
  ' ',
  '.',
  '..',
  '/',
  '//',
  '\\',
  ':',
  '@',
  '%',
  '~',
  '-',
  '_',
  '+',
  '#',
  '&',
  '*',
  '?',
  '"',
  "'",
  '0',
  '1',
  'a',
  'A',
  'z',
  'latest',
  '10.5281/',
  'doi:',
  'https://',
  'CON',
  'nul',
  'com1',
  'lpt¹',
  '\0',
  '\t',
  '\n',
  '\r\n',
  '\u001b[2J',
  '\u007f',
  '\u0085',
  '\u00e9',
  'e\u0301',
  'ß',
  'İ',
  'ſ',
  'K',
  '\u200b',
  '\u200e',
  '\u202e',
  '\u2066',
  '\u2028',
  '\ufeff',
  '\ud800',
  '\udc00',
  '\u{1f9ec}',
  '\ufb01',
  '__proto__',
  'constructor',
  'null',
  'true',
  '-1',
  '1e400',
  '9007199254740993',
  '0x10',
  '{}',
  '[]',
] as const
/** Lengths around which bounds lie. */
const LENGTHS = [0, 1, 4, 9, 16, 40, 58, 59, 63, 64, 100, 127, 200, 253, 255, 256, 512, 2048]

/** One to three changes. */
export function mutateText(text: string, random: Random): string {
  let changed = text
  for (let n = random.below(3); n >= 0; n--) changed = change(changed, random)
  return changed
}

function change(text: string, random: Random): string {
  const at = random.below(text.length + 1)
  const before = text.slice(0, at)
  const after = text.slice(at)
  switch (random.below(8)) {
    case 0:
    case 1:
      return before + random.pick(PIECES) + after
    case 2:
      return before + after.slice(1 + random.below(4))
    case 3:
      return before + random.pick(PIECES) + after.slice(1)
    case 4: {
      // The same, as long as a bound or one longer.
      const length = random.pick(LENGTHS) + random.below(2)
      return (text || 'a').repeat(Math.ceil(length / (text.length || 1))).slice(0, length)
    }
    case 5:
      return random.once(2) ? text.toUpperCase() : text.normalize('NFD')
    case 6:
      return before + String.fromCharCode(0x20 + random.below(0x5f)) + after.slice(1)
    default:
      return before + after.slice(0, random.below(20)) + after
  }
}
