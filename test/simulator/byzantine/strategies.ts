/** All strategies by name; a run mixes some of them. */
import {
  BadSignatureFlood,
  Endless,
  Garbage,
  HaveAndWant,
  InvalidSignature,
  OldHeads,
  Oversize,
  Stall,
  TruncatedRecord,
  Withholding,
  WrongChain,
  WrongHash,
} from './answers.ts'
import type { Strategy } from './byzantine-node.ts'
import {
  EraseSpam,
  FastForward,
  ForgedRecord,
  MixedEncoding,
  SmallOrderKey,
  TinyFlood,
  WrongDate,
  WrongDomain,
  WrongFields,
  WrongScope,
} from './forgeries.ts'
import { RestoredBackup, TwoFaced } from './forks.ts'
import { IdentityFork, RevokeRace, StolenKey } from './thefts.ts'

const STRATEGIES = {
  'invalid-signature': () => new InvalidSignature(),
  'wrong-hash': () => new WrongHash(),
  'truncated-record': () => new TruncatedRecord(),
  oversize: () => new Oversize(),
  endless: () => new Endless(),
  garbage: () => new Garbage(),
  stall: () => new Stall(),
  'old-heads': () => new OldHeads(),
  withholding: () => new Withholding(),
  'have-and-want': () => new HaveAndWant(),
  'wrong-chain': () => new WrongChain(),
  'bad-signature-flood': () => new BadSignatureFlood(),
  'tiny-flood': () => new TinyFlood(),
  'erase-spam': () => new EraseSpam(),
  'fast-forward': () => new FastForward(),
  'wrong-date': () => new WrongDate(),
  'wrong-fields': () => new WrongFields(),
  'wrong-domain': () => new WrongDomain(),
  'forged-record': () => new ForgedRecord(),
  'wrong-scope': () => new WrongScope(),
  'mixed-encoding': () => new MixedEncoding(),
  'small-order-key': () => new SmallOrderKey(),
  'two-faced': () => new TwoFaced(),
  'restored-backup': () => new RestoredBackup(),
  'stolen-key': () => new StolenKey(),
  'revoke-race': () => new RevokeRace(),
  'identity-fork': () => new IdentityFork(),
} as const satisfies Record<string, () => Strategy>

export type StrategyName = keyof typeof STRATEGIES

// SAFE: the keys of the table.
export const STRATEGY_NAMES = Object.keys(STRATEGIES) as StrategyName[]

export const strategyOf = (name: StrategyName): Strategy => STRATEGIES[name]()
