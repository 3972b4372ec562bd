/** Imports nothing, so that it runs on any version of Node. */

/** The first version that runs TypeScript as it stands and whose ABI the native modules have. */
const NEEDED = [22, 18] as const

/** @returns what to tell the user, or null where `version` will do */
export function nodeVersionFault(version: string): string | null {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return null
  return (
    `zoarium: Node.js ${NEEDED.join('.')} or newer is needed, this is ${version} [NODE_VERSION]\n` +
    'hint: in a clone of the repository use `npm run zoarium -- ...`, which brings its own Node.js\n'
  )
}
