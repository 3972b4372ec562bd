/**
 * What a publisher says. Publishing: a zip is streamed to the spool folder, then judged as a whole.
 */
import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Router } from '@koa/router'
import { CLAIMS } from '../../../protocol/attestation.ts'
import { MAX_NOTE_CHARS, MAX_URL_CHARS } from '../../../protocol/limits.ts'
import { WEIGHT_FORMATS } from '../../../protocol/model-description.ts'
import { WITHDRAW_VERBS } from '../../../protocol/record-body.ts'
import { storeError } from '../../../registry/durable-file.ts'
import { needs } from '../auth.ts'
import { readJson, receive, requireType } from '../body.ts'
import type { Context, RequestState } from '../context.ts'
import { whileConnected } from '../disconnect.ts'
import { flag, listOf, oneOf, pattern, readFields, readQuery, required, text } from '../fields.ts'
import type { NodeApi } from '../node-api.ts'
import { MAX_REF_CHARS } from './model-routes.ts'

/** A reason is a code, for programs to count. */
const REASON = /^[a-z][a-z0-9-]{0,39}$/
/** Longest name or version that is read; the rules for them are stricter. */
const MAX_NAME_CHARS = 200
/** Longest domain name. */
const MAX_HANDLE_CHARS = 253

/** Longest note of an attestation, in characters: a paragraph. */
const MAX_ATTEST_NOTE_CHARS = 1000

/** @param maxBytes largest zip */
export function addPublishRoutes(
  router: Router<RequestState>,
  node: NodeApi,
  maxBytes: number,
): void {
  router.post('/v1/withdraw', needs('publish'), async (ctx) => {
    const { ref, verb, reason, note } = readFields(await readJson(ctx), {
      ref: text(MAX_REF_CHARS),
      verb: oneOf(WITHDRAW_VERBS),
      reason: pattern(REASON, 'a code such as wrong-output is needed'),
      note: text(MAX_NOTE_CHARS),
    })
    ctx.body = await node.withdraw(required(ref, 'ref'), {
      verb: required(verb, 'verb'),
      reason: required(reason, 'reason'),
      note: note ?? '',
    })
  })

  router.post('/v1/attest', needs('publish'), async (ctx) => {
    const { ref, claim, note } = readFields(await readJson(ctx), {
      ref: text(MAX_REF_CHARS),
      claim: oneOf(CLAIMS),
      note: text(MAX_ATTEST_NOTE_CHARS),
    })
    const signal = whileConnected(ctx)
    const stated = claim ?? 'reproduced'
    ctx.body = await node.attest(required(ref, 'ref'), stated, note ?? '', signal)
  })

  router.post('/v1/tags', needs('publish'), async (ctx) => {
    const { ref, tag } = readFields(await readJson(ctx), {
      ref: text(MAX_REF_CHARS),
      tag: text(MAX_NAME_CHARS),
    })
    ctx.body = await node.tag(required(ref, 'ref'), required(tag, 'tag'))
  })

  router.get('/v1/profile', needs('read'), (ctx) => {
    ctx.body = node.profile()
  })

  router.put('/v1/profile', needs('publish'), async (ctx) => {
    const { label, displayName, ...rest } = readFields(await readJson(ctx), {
      label: text(MAX_NAME_CHARS),
      displayName: text(MAX_NAME_CHARS),
      handle: text(MAX_HANDLE_CHARS),
      url: text(MAX_URL_CHARS),
      ror: text(MAX_NAME_CHARS),
    })
    ctx.body = await node.setProfile({
      label: required(label, 'label'),
      displayName: required(displayName, 'displayName'),
      ...rest,
    })
  })

  router.post('/v1/publish', needs('publish'), async (ctx) => {
    const options = readQuery(ctx.query, {
      name: text(MAX_NAME_CHARS),
      version: text(MAX_NAME_CHARS),
      weights: listOf(oneOf(WEIGHT_FORMATS)),
      dryRun: flag,
      untested: flag,
      private: flag,
    })
    requireType(ctx, ['application/zip'])
    const signal = whileConnected(ctx)
    const path = join(node.spool, `upload-${randomUUID()}.zip`)
    try {
      await spool(ctx, path, maxBytes)
      ctx.body = await node.publish(
        path,
        {
          ...options,
          dryRun: options.dryRun ?? false,
          untested: options.untested ?? false,
          private: options.private ?? false,
        },
        signal,
      )
    } finally {
      await rm(path, { force: true })
    }
  })
}

async function spool(ctx: Context, path: string, maxBytes: number): Promise<void> {
  const body = receive(ctx, { maxBytes, what: 'the zip' })
  try {
    await pipeline(body, createWriteStream(path, { flags: 'wx', mode: 0o600 }))
  } catch (error) {
    throw storeError('keep the upload', error)
  }
}
