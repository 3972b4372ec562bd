/** Progress bars, on a terminal only, and only for what takes longer than a moment. */
import { Presets, SingleBar } from 'cli-progress'
import { printable } from './escape.ts'
import { formatBytes } from './format.ts'
import type { Output } from './output.ts'

/** What ends sooner shows no bar, milliseconds. */
const SHOW_AFTER_MS = 700

export interface Progress {
  /** Bytes done since the last call. */
  add(bytes: number): void
  /** Bytes done in all. */
  set(bytes: number): void
  stop(): void
}

const NONE: Progress = { add() {}, set() {}, stop() {} }

/** @param total bytes to come */
export function startProgress(output: Output, label: string, total: number): Progress {
  if (output.stderr.isTTY !== true || total === 0) return NONE
  const bar = new SingleBar(
    {
      stream: output.stderr,
      format: `${printable(label)} {bar} {percentage} % of ${formatBytes(total)}, {eta} s left`,
      hideCursor: true,
      clearOnComplete: true,
    },
    Presets.legacy,
  )
  const started = performance.now()
  let done = 0
  let isShown = false
  const set = (bytes: number): void => {
    done = Math.min(bytes, total)
    if (isShown) bar.update(done)
    else if (performance.now() - started > SHOW_AFTER_MS) {
      isShown = true
      bar.start(total, done)
    }
  }
  return {
    set,
    add: (bytes) => set(done + bytes),
    stop: () => {
      if (isShown) bar.stop()
    },
  }
}
