/**
 * Loaded before all else (`node --import`): puts the simulator's crypto.ts and failpoint.ts in the
 * place of the real ones when modules are loaded. The program itself has no switch for it, pays
 * nothing, and cannot be brought into this state by its settings.
 */
import { registerHooks } from 'node:module'

const here = (path: string): string => new URL(path, import.meta.url).href

const REPLACED: ReadonlyMap<string, string> = new Map([
  [here('../../protocol/crypto.ts'), here('./crypto.ts')],
  [here('../../registry/failpoint.ts'), here('./failpoint.ts')],
])

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context)
    const replacement = REPLACED.get(resolved.url)
    // The replacement itself stands on the real one.
    if (replacement === undefined || context.parentURL === replacement) return resolved
    return { ...resolved, url: replacement }
  },
})
