/** `zoarium tokens`: who else may use this daemon over HTTP. */
import { InvalidArgumentError } from 'commander'
import type { Scope } from '../../protocol/api.ts'
import { type Cli, numberFrom, wordOf } from '../session.ts'

const SCOPES: readonly Scope[] = ['read', 'infer', 'publish', 'admin']
const DAY_MS = 24 * 3600 * 1000

interface AddOptions {
  readonly scope: readonly Scope[]
  readonly label?: string
  readonly days?: number
}

export function addTokens({ program, session }: Cli): void {
  const tokens = program.command('tokens').description('tokens for the HTTP routes of this daemon')
  tokens
    .command('list', { isDefault: true })
    .description('list them, without their secrets')
    .action(async () => {
      const { client, output } = session()
      const items = await client.tokens()
      output.result({ items }, () =>
        output.table(
          ['ID', 'LABEL', 'SCOPES', 'CREATED', 'EXPIRES'],
          items.map((token) => [
            token.id,
            token.label,
            token.scopes.join(','),
            token.created,
            token.expires ?? 'never',
          ]),
        ),
      )
    })
  tokens
    .command('add')
    .description('make one; it is shown once')
    .requiredOption(
      '--scope <scope>',
      `${SCOPES.join(', ')}; may be given several times`,
      collectScope,
    )
    .option('--label <label>', 'what it is for')
    .option('--days <n>', 'how long it is valid (default: until revoked)', numberFrom(1))
    .action(async ({ scope, label, days }: AddOptions) => {
      const { client, output } = session()
      const token = await client.addToken({
        label: label ?? scope.join(','),
        scopes: scope,
        expiresMs: days === undefined ? null : days * DAY_MS,
      })
      output.result(token, () => output.line(token.token))
      output.note(`Token ${token.id} for ${token.scopes.join(', ')}. It is not shown again.`)
    })
  tokens
    .command('revoke <id>')
    .description('end one')
    .action(async (id: string) => {
      const { client, output } = session()
      await client.revokeToken(id)
      output.result({ revoked: id }, () => output.line(`${id} is revoked`))
    })
}

/** Takes `--scope read --scope infer` and `--scope read,infer`. */
function collectScope(value: string, before: readonly Scope[] = []): readonly Scope[] {
  const scopes = value.split(',').map(wordOf(SCOPES))
  if (scopes.some((scope) => before.includes(scope))) {
    throw new InvalidArgumentError('Each scope once.')
  }
  return [...before, ...scopes]
}
