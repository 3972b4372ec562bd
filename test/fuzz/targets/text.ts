/** Text that names things: content ids, references, names, paths. Inputs are UTF-16, so that they can hold any. */
import { parseCid } from '../../../protocol/cid.ts'
import type { Verdict } from '../../../protocol/errors.ts'
import { checkPath, checkPaths } from '../../../protocol/file-path.ts'
import {
  checkAlias,
  formatReference,
  parseHandle,
  parseLabel,
  parseName,
  parseReference,
  parseTag,
  parseVersion,
  type Reference,
} from '../../../protocol/reference.ts'
import { Breach, settle, type Target } from '../fuzzer.ts'
import type { Fault } from '../rules/encoding.ts'
import { pathFault, pathsFault } from '../rules/path.ts'
import * as rule from '../rules/text.ts'
import { pool } from '../samples.ts'
import { mutateText } from '../text-mutants.ts'

const encode = (text: string): Uint8Array => Buffer.from(text, 'utf16le')
const decode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf16le')

/**
 * @param read the verdict, and for what is accepted its text, which must be the one that was read
 */
function textTarget(
  name: string,
  share: number,
  samples: readonly string[],
  read: (text: string) => Verdict<string>,
  fault: (text: string) => Fault,
): Target {
  return {
    name,
    share,
    mutant: (random) => ({
      raw: encode(mutateText(random.pick(samples), random)),
      finish: (bytes) => bytes,
      isSigned: false,
    }),
    judge(input) {
      const text = decode(input)
      const verdict = read(text)
      if (verdict.ok && verdict.value !== text) throw new Breach('reads as another text')
      return settle(verdict, () => fault(text))
    },
  }
}

const ids = pool.links.map(String)
const id = ids[0] ?? ''

/** Several paths, one a line; no path holds a line feed. */
const pathsOf = (text: string): string[] => text.split('\n')

function readReference(text: string): Verdict<string> {
  const verdict = parseReference(text)
  if (!verdict.ok) return verdict
  // The one tag that may be left out.
  const written = formatReference(verdict.value)
  const value = text === `${written}@latest` && isPlain(verdict.value) ? text : written
  return { ok: true, value }
}

const isPlain = (reference: Reference): boolean =>
  reference.kind === 'model' && reference.version === null && reference.tag === null

export const textTargets: readonly Target[] = [
  textTarget('cid-text', 60, ids, parseCid, rule.cidFault),
  textTarget(
    'reference',
    60,
    [
      ...[
        'embl/nuclei',
        'embl/nuclei@1.2.0',
        'embl/nuclei@stable',
        'zoo.example.org/nuclei@latest',
      ],
      ...[`${id}/nuclei@1.0.0`, id, '10.5281/zenodo.5764892', 'https://doi.org/10.5281/x/y'],
      ...['doi:10.1234/a b', 'affable-shark', 'Ünïcode nickname'],
    ],
    readReference,
    rule.referenceFault,
  ),
  textTarget('name', 15, ['nuclei', 'unet.2d_x-1'], parseName, rule.nameFault),
  textTarget('version', 15, ['1.2.0', '0.0.1-rc.1+a_b'], parseVersion, rule.versionFault),
  textTarget('tag', 10, ['stable', 'latest-1', 'v1'], parseTag, rule.tagFault),
  textTarget('label', 10, ['embl', 'max-planck-1'], parseLabel, rule.labelFault),
  textTarget(
    'handle',
    15,
    ['zoo.example.org', 'a.bc', 'a.b', `${'a'.repeat(63)}.example`, 'xn--bcher-kva.example'],
    parseHandle,
    rule.handleFault,
  ),
  textTarget(
    'alias',
    15,
    ['affable-shark', '10.5281/zenodo.1', 'Größe'],
    checkAlias,
    rule.aliasFault,
  ),
  textTarget(
    'path',
    60,
    ['rdf.yaml', 'weights/model.onnx', 'a/b/c/d/e/f/g/h', 'docs/Größe.md', 'con.d/x', 'aux1'],
    checkPath,
    pathFault,
  ),
  textTarget(
    'paths',
    40,
    ['rdf.yaml\nweights/a.onnx', 'a/b\nA/c', 'x\ny/x', 'a\nb\nc', 'docs/é\ndocs/e', 'd/ß\nd/ss'],
    (text) => {
      const verdict = checkPaths(pathsOf(text))
      return verdict.ok ? { ok: true, value: text } : verdict
    },
    (text) => pathsFault(pathsOf(text)),
  ),
]
