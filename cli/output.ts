/**
 * What the commands print: results on stdout, everything else on stderr. With `--json` stdout gets
 * one JSON document. All text goes through escape.ts here, so that commands need not think of it.
 */
import { type Code, type Detail, type Issue, ZoariumError } from '../protocol/errors.ts'
import { printable, printableJson } from './escape.ts'

export type Stream = NodeJS.WritableStream & {
  readonly isTTY?: boolean
  readonly columns?: number
}

/** Between two columns of a table. */
const GAP = '  '

export class Output {
  readonly isJson: boolean
  readonly stderr: Stream
  readonly #stdout: Stream

  constructor(stdout: Stream, stderr: Stream, isJson: boolean) {
    this.#stdout = stdout
    this.stderr = stderr
    this.isJson = isJson
  }

  /**
   * The result: as one document with `--json`, otherwise through `print`. Where no person reads it
   * the document is one line, so that the reader of a daemon's first words knows where they end.
   */
  result(value: unknown, print: () => void): void {
    const indent = this.#stdout.isTTY === true ? 2 : 0
    if (this.isJson) this.#stdout.write(`${printableJson(value, indent)}\n`)
    else print()
  }

  line(text = ''): void {
    this.#stdout.write(`${printable(text)}\n`)
  }

  /** Progress and advice, on stderr. */
  note(text: string): void {
    this.stderr.write(`${printable(text)}\n`)
  }

  /** Name and value pairs, values aligned. */
  fields(pairs: readonly (readonly [string, string])[]): void {
    const width = Math.max(...pairs.map(([name]) => name.length))
    for (const [name, value] of pairs) this.line(`  ${name.padEnd(width)}${GAP}${value}`)
  }

  table(headings: readonly string[], rows: readonly (readonly string[])[]): void {
    const lines = [headings, ...rows].map((row) => row.map(printable))
    const widths = headings.map((_, column) =>
      Math.max(...lines.map((row) => row[column]?.length ?? 0)),
    )
    for (const row of lines) {
      this.line(
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join(GAP)
          .trimEnd(),
      )
    }
  }

  /** The error's message, each finding on its own line, then the way out. */
  error(error: unknown): void {
    const known =
      error instanceof ZoariumError
        ? error
        : new ZoariumError('INTERNAL', error instanceof Error ? error.message : String(error))
    const { code, message, data } = known
    if (this.isJson) this.result({ error: { code, message, ...data } }, () => {})
    // Findings name their own places.
    const isPlaced = data.issues !== undefined || data.field === undefined
    const place = isPlaced || message.includes(data.field) ? '' : `${data.field}: `
    this.note(`zoarium: ${place}${message}${differs(code, data)} [${code}]`)
    for (const issue of data.issues ?? []) {
      const parts = [placeOf(issue), issue.code, `${issue.message}${differs(issue.code, issue)}`]
      this.note(`  ${parts.filter((part) => part !== '').join(GAP)}`)
      if (issue.hint !== undefined && issue.hint !== data.hint) this.note(`    ${issue.hint}`)
    }
    if (data.hint !== undefined) this.note(`hint: ${data.hint}`)
  }
}

/** Field and line of a finding in the card, as far as they are known. */
function placeOf({ field, line }: Issue): string {
  if (field === undefined) return line === undefined ? '' : `line ${line}`
  return line === undefined ? field : `${field}:${line}`
}

/** Codes whose limit is the most that is allowed; that of the others is what was expected. */
const BOUNDS: ReadonlySet<string> = new Set<Code>([
  'BUSY',
  'DEPTH',
  'LIMIT',
  'MODEL_MEMORY',
  'PIXELS',
  'QUOTA',
  'TILING_NEEDED',
  'TIMEOUT',
])

/** What was found and what was expected, where either is said. */
function differs(code: Code, { got, limit }: Detail): string {
  const found = got === undefined ? '' : `: ${got}`
  if (limit === undefined) return found
  return `${found} (${BOUNDS.has(code) ? 'at most' : 'expected'}: ${limit})`
}
