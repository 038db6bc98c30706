/** Reads the certificate and the key of `listen.tls`, and says in words what is wrong with them. Main thread and command line. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Config } from './config.js';
import { FairleadError } from './errors.js';

/** Renewals come a month before the end; who is later than this has none that works. */
const SOON_MS = 14 * 86_400_000;
const READ_BY_OTHERS = 0o004;

/** Paths of PEM files. */
export interface CertificateFiles {
  /** The server's certificate first, then those that lead to the root. */
  cert: string;
  key: string;
}

export interface Certificate {
  /** Tells one certificate from another. */
  fingerprint: string;
  /** Where it counts, as the certificate says it: `DNS:ai.example.org, IP Address:…`. */
  names: string;
  endsAt: Date;
  /** What an operator should know, though it can be used. */
  warnings: string[];
}

/** The host names under which clients come. */
export function ownNames({ listen, mcp }: Pick<Config, 'listen' | 'mcp'>): string[] {
  return [...listen.hosts, ...(mcp.publicUrl === undefined ? [] : [new URL(mcp.publicUrl).hostname])];
}

/** ERR_START when it cannot be used now. `names`: the host names under which clients come. */
export function readCertificate({ cert, key }: CertificateFiles, names: readonly string[], now = Date.now()) {
  const found = certificateOf(cert);
  const secret = keyOf(key);
  if (!found.checkPrivateKey(secret)) {
    throw unusable(
      `the key in ${key} is not that of the certificate in ${cert}: the two files belong to different ones`,
    );
  }
  const [beginsAt, endsAt] = [new Date(found.validFrom), new Date(found.validTo)];
  if (endsAt.getTime() <= now) throw unusable(`the certificate in ${cert} has expired on ${dayOf(endsAt)}: renew it`);
  if (beginsAt.getTime() > now) {
    throw unusable(`the certificate in ${cert} counts from ${beginsAt.toISOString()} on: look at this machine's clock`);
  }
  const warnings = names
    .filter((name) => (isIP(name) === 0 ? found.checkHost(name) : found.checkIP(name)) === undefined)
    .map((name) => `the certificate in ${cert} is not for ${name}: clients that come by this name refuse it`);
  if (endsAt.getTime() - now < SOON_MS) {
    warnings.push(`the certificate in ${cert} expires on ${dayOf(endsAt)}, and nothing has renewed it yet`);
  }
  if ((statSync(key).mode & READ_BY_OTHERS) !== 0) {
    warnings.push(`every account of this machine can read the key in ${key}: chmod o-r it`);
  }
  const certificate: Certificate = {
    fingerprint: found.fingerprint256,
    names: found.subjectAltName ?? found.subject,
    endsAt,
    warnings,
  };
  return certificate;
}

function certificateOf(file: string): X509Certificate {
  const pem = read(file, 'the certificate');
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw unusable(`${file} is no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----`, error);
  }
}

function keyOf(file: string): KeyObject {
  const pem = read(file, 'its key');
  if (/^-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem.toString('latin1'))) {
    throw unusable(
      `the key in ${file} has a passphrase, which nobody could type at a start: take it off with openssl pkey`,
    );
  }
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw unusable(`${file} is no private key in PEM`, error);
  }
}

function read(file: string, what: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw unusable(`${what} cannot be read: ${file} (${(error as NodeJS.ErrnoException).code})`, error);
  }
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function unusable(message: string, cause?: unknown): FairleadError {
  return new FairleadError('ERR_START', `listen.tls: ${message}`, { cause });
}
