/** Every decoder of foreign bytes, as the fuzzer sees it. */
import type { Target } from './fuzzer.ts'
import { bundleTarget } from './targets/bundle.ts'
import { cardTarget } from './targets/cards.ts'
import { contentTargets } from './targets/content.ts'
import { deliveryTarget } from './targets/delivery.ts'
import { encodingTargets } from './targets/encoding.ts'
import { engineTarget } from './targets/engine.ts'
import { exchangeTarget } from './targets/exchange.ts'
import { fileTargets } from './targets/files.ts'
import { httpTargets } from './targets/http.ts'
import { identityTarget } from './targets/identity.ts'
import { imageTargets } from './targets/images.ts'
import { logTarget } from './targets/log.ts'
import { messageTargets } from './targets/messages.ts'
import { onnxTarget } from './targets/onnx.ts'
import { rosterTarget } from './targets/rosters.ts'
import { signatureTarget } from './targets/signature.ts'
import { statementTargets } from './targets/statements.ts'
import { textTargets } from './targets/text.ts'

export const targets: readonly Target[] = [
  ...encodingTargets(),
  ...statementTargets,
  identityTarget(),
  bundleTarget,
  signatureTarget(),
  logTarget(),
  deliveryTarget,
  exchangeTarget,
  ...contentTargets,
  ...messageTargets,
  rosterTarget,
  ...textTargets,
  cardTarget,
  onnxTarget,
  ...fileTargets,
  ...httpTargets,
  ...imageTargets,
  engineTarget,
]
