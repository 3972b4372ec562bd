/** Certificates for tests with TLS. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface TestCertificate {
  /** PEM. */
  readonly key: Buffer
  readonly cert: Buffer
  /** Path of the certificate, which is its own authority. */
  readonly path: string
}

/** A key, and a certificate of itself for `names` (`DNS:...`, `IP:...`); null without openssl. */
export function makeCertificate(folder: string, names: readonly string[]): TestCertificate | null {
  const [config, keyPath, path] = ['openssl.cnf', 'key.pem', 'cert.pem'].map((name) =>
    join(folder, name),
  ) as [string, string, string]
  writeFileSync(
    config,
    [
      '[req]\ndistinguished_name = name\nx509_extensions = ca\nprompt = no\n[name]\nCN = test\n[ca]',
      'basicConstraints = critical, CA:true',
      `subjectAltName = ${names.join()}\n`,
    ].join('\n'),
  )
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const out = ['-config', config, '-keyout', keyPath, '-out', path, '-days', '2']
  try {
    execFileSync('openssl', ['req', '-x509', ...curve, ...out], { stdio: 'ignore' })
  } catch {
    console.log('skipped: openssl is not here to make a certificate')
    return null
  }
  return { key: readFileSync(keyPath), cert: readFileSync(path), path }
}
