/**
 * Loaded before the process that is killed (`node --import`): kills it at one of its own calls to the
 * file system or writes to SQLite, or has them do less than they say. All of it is told by variables
 * that only this file reads.
 *
 *     ZOARIUM_KILL_AT=37:before    at the 37th call that changes something: before it,
 *                  37:after        after it,
 *                  37:torn         or when half of its bytes are written
 *     ZOARIUM_NO_SYNC=files        negative controls of power cuts: files are not made durable,
 *     ZOARIUM_NO_SYNC=all          or nothing is
 */
import fs from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import process from 'node:process'
import Database from 'better-sqlite3'

const [at = '', moment = 'before'] = (process.env.ZOARIUM_KILL_AT ?? '').split(':')
let left = at === '' ? 0 : Number(at)

const die = (): void => void process.kill(process.pid, 'SIGKILL')

type Anything = (...args: never[]) => unknown

/** @param half how the call is done by half; null: it cannot be */
function guard<F extends Anything>(
  call: F,
  half: ((self: unknown, args: Parameters<F>) => unknown) | null = null,
): F {
  const guarded = function (this: unknown, ...args: Parameters<F>): unknown {
    // The answers to the outside are no part of what is tested.
    if (left === 0 || args[0] === (1 as never)) return call.apply(this, args)
    left -= 1
    if (left > 0) return call.apply(this, args)
    if (moment === 'before') die()
    if (moment === 'torn' && half !== null) {
      const done = half(this, args)
      if (done instanceof Promise) return done.then(die)
      die()
    }
    const result = call.apply(this, args)
    if (result instanceof Promise) return result.finally(die)
    die()
    return result
  }
  // SAFE: it takes and gives what the call does.
  return guarded as unknown as F
}

const halfOf = (data: unknown): unknown =>
  typeof data === 'string' || data instanceof Uint8Array
    ? data.slice(0, Math.floor(data.length / 2))
    : data

const { writeSync, writeFileSync, appendFileSync } = fs
const writeAny = writeSync as Anything
fs.writeSync = guard(writeAny, (_, args) => {
  const [file, data] = args as unknown as [number, unknown]
  return writeAny(...([file, halfOf(data)] as never[]))
}) as typeof fs.writeSync
fs.writeFileSync = guard(writeFileSync, (_, [file, data, options]) =>
  writeFileSync(file, halfOf(data) as Uint8Array, options),
)
fs.appendFileSync = guard(appendFileSync, (_, [file, data, options]) =>
  appendFileSync(file, halfOf(data) as Uint8Array, options),
)
fs.openSync = guard(fs.openSync)
fs.renameSync = guard(fs.renameSync)
fs.rmSync = guard(fs.rmSync)
fs.mkdirSync = guard(fs.mkdirSync as Anything) as typeof fs.mkdirSync
const noSync = process.env.ZOARIUM_NO_SYNC !== undefined
fs.fsyncSync = noSync ? () => {} : guard(fs.fsyncSync)
fs.promises.rm = guard(fs.promises.rm)
fs.promises.open = guard(fs.promises.open)
syncBuiltinESMExports()

const probe = await open(process.execPath, 'r')
// SAFE: the prototype of file handles is theirs.
const handles = Object.getPrototypeOf(probe) as FileHandle
await probe.close()
const write = handles.write as Anything
handles.write = guard(write, (self, args) => {
  const [data, ...rest] = args as unknown as [Uint8Array, number, number, number]
  const [from = 0, length = data.length, place] = rest
  return write.apply(self, [data, from, Math.floor(length / 2), place] as never)
}) as FileHandle['write']
handles.sync = noSync ? async () => {} : guard(handles.sync)

const memory = new Database(':memory:')
// SAFE: the prototype of statements is theirs.
const statements = Object.getPrototypeOf(memory.prepare('SELECT 1')) as Database.Statement
memory.close()
statements.run = guard(statements.run as Anything) as typeof statements.run
if (process.env.ZOARIUM_NO_SYNC === 'all') {
  const { pragma } = Database.prototype
  Database.prototype.pragma = function (source, options) {
    return pragma.call(this, source.replace('synchronous = FULL', 'synchronous = OFF'), options)
  }
}
