/** Every decoder of foreign bytes, as the fuzzer sees it. */
import type { Target } from './fuzzer.ts'
import { encodingTargets } from './targets/encoding.ts'
import { identityTarget } from './targets/identity.ts'
import { messageTargets } from './targets/messages.ts'
import { statementTargets } from './targets/statements.ts'
import { textTargets } from './targets/text.ts'

export const targets: readonly Target[] = [
  ...encodingTargets(),
  ...statementTargets,
  identityTarget(),
  ...messageTargets,
  ...textTargets,
]
