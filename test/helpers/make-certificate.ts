/** Certificates for tests, made by openssl. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const LOCAL = ['DNS:localhost', 'IP:127.0.0.1'];

export interface MadeCertificate {
  cert: string;
  key: string;
}

export interface CertificateOptions {
  folder: string;
  /** Of the two files: `NAME.pem` and `NAME-key.pem`. */
  name?: string;
  /** As openssl writes them: `DNS:ai.example.org`, `IP:127.0.0.1`. */
  names?: string[];
}

/** One that has signed itself, for 30 days. */
export async function makeCertificate({ folder, name = 'cert', names = LOCAL }: CertificateOptions) {
  const made: MadeCertificate = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}-key.pem`) };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', made.key];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${names.join(',')}`];
  await run('openssl', ['req', '-x509', '-days', '30', ...key, '-out', made.cert, ...subject]);
  return made;
}
