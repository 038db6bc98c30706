/** Decides at the boot who may come in: the configured tokens, the data folder's token, or everybody. Main thread. */
import { existsSync } from 'node:fs';
import { hashToken, LOCAL_USER, makeTokenFile, readTokenFile, tokenFile } from '../shared/token-file.js';
import type { Config } from '../shared/config.js';
import { counted } from '../shared/counted.js';

export interface Access {
  /** The configured mode with all valid tokens. */
  auth: Config['auth'];
  describe: string;
  warning?: string;
  /** Where the token of the data folder counts: tells it from another, and no more. */
  localToken?: string;
  /** Made by this start, and shown at the terminal alone: a log is read by more people than its server. */
  newToken?: string;
}

/** The caller holds the data folder. ERR_START when its token is not to be trusted. */
export function openAccess({ auth, dataDir }: Config): Access {
  if (auth.mode === 'none') {
    return {
      auth,
      describe: 'none: everybody on this machine',
      warning:
        'auth.mode is none: every account and program of this machine can use this server, its tools and its files.',
    };
  }
  const file = tokenFile(dataDir);
  const issuer = auth.oidc ? `; the users of ${auth.oidc.issuer}` : '';
  if (auth.tokens.length > 0) {
    const unused = existsSync(file) ? `; the token in ${file} is not valid beside them` : '';
    return { auth, describe: `${counted(auth.tokens.length, 'token')} of auth.tokens${unused}${issuer}` };
  }
  const known = readTokenFile(dataDir, { owner: process.geteuid?.() });
  const token = known ?? makeTokenFile(dataDir);
  return {
    auth: { ...auth, tokens: [{ user: LOCAL_USER, sha256: hashToken(token), role: 'admin', groups: [] }] },
    localToken: hashToken(hashToken(token)),
    describe: `one token, of the user ${LOCAL_USER}, in ${file}${issuer}`,
    ...(known === undefined ? { newToken: token } : {}),
  };
}

/** Why requests that came through a proxy are refused, or undefined. They come from other people than the machine's owner. */
export function noProxy({ auth }: Config, driver: 'docker' | 'process'): string | undefined {
  if (auth.mode === 'none') return 'auth.mode is none: set it to token, and make tokens with `fairlead token NAME`';
  if (driver === 'docker') return undefined;
  return (
    'tools run here without isolation (the sandbox is a process): start Docker, ' +
    'set sandbox.driver to docker, and make tokens with `fairlead token NAME`'
  );
}
