/** What a Docker that does not answer needs: time, or somebody. Pure; main thread and command line. */
import { isFairleadError } from './errors.js';

export interface DockerFault {
  /** It may be over at any moment, without anybody's help. */
  passes: boolean;
  /** A few words, for parentheses. */
  why: string;
  todo: string;
}

/** A name or address that is wrong looks like a machine that is away, so only what the daemon or the kernel refuses is lasting. */
const DENIED = new Set(['EACCES', 'EPERM']);

export function dockerFault(error: unknown): DockerFault {
  const { code = '', statusCode, message } = error as NodeJS.ErrnoException & { statusCode?: number };
  // DockerTimeout has one of our codes, and says what it waited for.
  const why = isFairleadError(error) ? message : code || message;
  if (DENIED.has(code)) {
    return { passes: false, why, todo: 'let this account use it (group docker), and start again' };
  }
  if (isTlsCode(code) || (statusCode !== undefined && statusCode < 500)) {
    return { passes: false, why, todo: 'look at its certificates (DOCKER_CERT_PATH) and at its version' };
  }
  return { passes: true, why, todo: 'start it' };
}

/** OpenSSL's verdicts on certificates, and Node's own. */
function isTlsCode(code: string): boolean {
  return /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|EPROTO$)/.test(code);
}
