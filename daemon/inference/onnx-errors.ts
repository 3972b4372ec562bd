/**
 * The runtime's failures as our codes. ONNX Runtime has only text, so text it is; the tests hold
 * the phrases of the version that package.json pins. Pure.
 */
import type { Code } from '../../protocol/errors.ts'

const MEMORY =
  /bad_alloc|out of memory|failed to allocate|allocation failed|invalid (typed )?array length|not enough memory|would require more than|integer overflow|cannot allocate memory|pthread_create failed/i
const EXTERNAL = /external (data|initializer)|escapes model dir|_ORT_MEM_ADDR_/i
const UNSUPPORTED =
  /not a registered function\/op|no opset import for domain|unsupported (model IR|type|data type)|only \*?guarantees\*? support|NOT_IMPLEMENTED|could not find an implementation|ORT format|is not supported|unknown model file format/i
const INPUT = /got invalid dimensions for input|unexpected input data type|invalid rank for input/i

const RULES: readonly (readonly [RegExp, Code])[] = [
  [MEMORY, 'MODEL_MEMORY'],
  [EXTERNAL, 'EXTERNAL_DATA'],
  [UNSUPPORTED, 'MODEL_UNSUPPORTED'],
  [INPUT, 'INPUT'],
]

/** The code of a message that the runtime threw while it loaded or ran a model. */
export function codeOfMessage(message: string, phase: 'open' | 'run'): Code {
  const rule = RULES.find(([pattern]) => pattern.test(message))
  return rule?.[1] ?? (phase === 'open' ? 'MODEL_PARSE' : 'MODEL_FAILED')
}

/**
 * The code of a process that ended by itself. A SIGKILL that the daemon did not send comes from
 * the kernel when memory runs out.
 */
export function codeOfExit(signal: string | null, stderr: string): Code {
  return signal === 'SIGKILL' || MEMORY.test(stderr) ? 'MODEL_MEMORY' : 'MODEL_CRASH'
}

/** Where in the runtime's source it was thrown, and in which function: noise to everyone else. */
const ORIGIN = /\S+\.(?:cc|h):\d+ (?:[^()]*\([^()]*\) |\w+ )?/g

/** A runtime's message as shown to people: one line, printable, short, without local paths. */
export const readable = (message: string, folder: string): string =>
  message
    .replaceAll(ORIGIN, '')
    .replaceAll(folder, '')
    .replaceAll(folder.slice(0, folder.lastIndexOf('/')), '..')
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .replaceAll(/ {2,}/g, ' ')
    .trim()
    .slice(0, 300)
