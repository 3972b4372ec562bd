/** Rosters: those that this node issues or follows, and joining by one. */
import type { Router } from '@koa/router'
import {
  MAX_ROSTER_BOOTSTRAP,
  MAX_ROSTER_CAR_BYTES,
  MAX_ROSTER_MEMBERS,
} from '../../../protocol/limits.ts'
import { ROSTER_RIGHTS } from '../../../protocol/roster.ts'
import { CAR_TYPE } from '../../../protocol/roster-car.ts'
import { needs } from '../auth.ts'
import { readBytes, readJson, receive, requireType } from '../body.ts'
import type { Context, RequestState } from '../context.ts'
import { flag, listOf, oneOf, readFields, readQuery, required, text } from '../fields.ts'
import type { NodeApi } from '../node-api.ts'

/** Longest name of a publisher: a handle is a domain name. */
const MAX_PUBLISHER_CHARS = 253
/** Longest text that is read as the name of a roster or an address, in characters. */
const MAX_TEXT_CHARS = 256

export function addRosterRoutes(router: Router<RequestState>, node: NodeApi): void {
  router.get('/v1/rosters', needs('read'), (ctx) => {
    ctx.body = { items: node.rosters() }
  })

  router.post('/v1/rosters', needs('publish'), async (ctx) => {
    const { name, ...edit } = readFields(await readJson(ctx), {
      name: text(MAX_TEXT_CHARS),
      add: listOf(text(MAX_PUBLISHER_CHARS), MAX_ROSTER_MEMBERS),
      remove: listOf(text(MAX_PUBLISHER_CHARS), MAX_ROSTER_MEMBERS),
      right: oneOf(ROSTER_RIGHTS),
      bootstrap: listOf(text(MAX_TEXT_CHARS), MAX_ROSTER_BOOTSTRAP),
    })
    ctx.body = node.setRoster(required(name, 'name'), edit)
  })

  router.delete('/v1/rosters/:name', needs('publish'), (ctx) => {
    ctx.body = node.withdrawRoster(ctx.params.name ?? '')
  })

  // Without a token: whoever joins has none yet, and a roster is for everybody.
  router.get('/v1/rosters/:publisher/:name.car', (ctx) => {
    const { publisher = '', name = '' } = ctx.params
    ctx.body = Buffer.from(node.rosterFile(publisher, name))
    ctx.type = CAR_TYPE
    ctx.set('Cache-Control', 'no-cache')
    ctx.attachment(`${name}.car`)
  })

  router.get('/v1/rosters/:publisher/:name', needs('read'), (ctx) => {
    ctx.body = node.roster(ctx.params.publisher ?? '', ctx.params.name ?? '')
  })

  router.post('/v1/join', needs('admin'), async (ctx) => {
    const query = readQuery(ctx.query, {
      ref: text(MAX_TEXT_CHARS),
      grantRun: flag,
      dryRun: flag,
    })
    const { grantRun, dryRun } = query
    const options = { grantRun: grantRun ?? false, dryRun: dryRun ?? false }
    ctx.body = await node.join(
      query.ref === null
        ? { ref: null, car: await readCar(ctx), ...options }
        : { ref: query.ref, car: null, ...options },
    )
  })

  router.post('/v1/leave', needs('admin'), async (ctx) => {
    const { publisher, name } = readFields(await readJson(ctx), {
      publisher: text(MAX_PUBLISHER_CHARS),
      name: text(MAX_TEXT_CHARS),
    })
    ctx.body = node.leave(required(publisher, 'publisher'), required(name, 'name'))
  })
}

function readCar(ctx: Context): Promise<Uint8Array> {
  requireType(ctx, [CAR_TYPE])
  const limits = { maxBytes: MAX_ROSTER_CAR_BYTES, what: 'the CAR file' }
  return readBytes(receive(ctx, limits), () => {})
}
