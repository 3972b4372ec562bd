/**
 * One logger a daemon, one child a subsystem, JSON lines on stderr (stdout belongs to the command
 * line). Text from other nodes is a field, never part of the message, so that it stays escaped.
 */
import { destination, type Logger, pino } from 'pino'

export type Log = Logger
export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export function createLog(level: LogLevel): Log {
  return pino({ level, base: null }, destination({ dest: 2, sync: true }))
}
