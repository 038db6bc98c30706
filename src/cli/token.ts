/** `fairlead token NAME`: makes a bearer token, and the configuration's line with its hash. Command line's process. */
import { ConfigError, configSchema } from '../shared/config.js';
import { hashToken, newToken } from '../shared/token-file.js';

export interface NewToken {
  token: string;
  /** For `auth.tokens`. */
  entry: { user: string; sha256: string };
}

/** Throws ConfigError when the configuration would refuse the name. */
export function makeToken(user: string): NewToken {
  const token = newToken();
  const entry = { user, sha256: hashToken(token) };
  const parsed = configSchema.safeParse({ auth: { tokens: [entry] } });
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map(({ message }) => ({ path: JSON.stringify(user), message })));
  }
  return { token, entry };
}

/** The token and its line; unless quiet, with a sentence about what to do with each. */
export function tokenText({ token, entry }: NewToken, quiet: boolean): string {
  const line = `{ "user": ${JSON.stringify(entry.user)}, "sha256": "${entry.sha256}" }`;
  if (quiet) return `${token}\n${line}\n`;
  return [
    `The token of ${entry.user}, shown only this once:`,
    '',
    token,
    '',
    'Add this line to auth.tokens in the configuration, and restart the server:',
    '',
    line,
    '',
  ].join('\n');
}
