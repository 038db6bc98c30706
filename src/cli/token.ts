/** `fairlead token NAME`: makes a bearer token and the line of the configuration that knows it by its hash only. */
import { createHash, randomBytes } from 'node:crypto';
import { ConfigError, configSchema } from '../shared/config.js';

export interface NewToken {
  token: string;
  /** For `auth.tokens`. */
  entry: { user: string; sha256: string };
}

/** Throws ConfigError when the configuration would not take the name. */
export function makeToken(user: string): NewToken {
  // The prefix lets secret scanners, and people, see what it is.
  const token = `flt_${randomBytes(32).toString('base64url')}`;
  const entry = { user, sha256: createHash('sha256').update(token).digest('hex') };
  const parsed = configSchema.safeParse({ auth: { tokens: [entry] } });
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map(({ message }) => ({ path: JSON.stringify(user), message })));
  }
  return { token, entry };
}

/** Two lines, and around them, unless quiet, what to do with them. */
export function tokenText({ token, entry }: NewToken, quiet: boolean): string {
  const line = `{ "user": ${JSON.stringify(entry.user)}, "sha256": "${entry.sha256}" }`;
  if (quiet) return `${token}\n${line}\n`;
  return [
    `The token of ${entry.user}; it is shown this once:`,
    '',
    token,
    '',
    'Put this line into auth.tokens of the configuration, and start the server again:',
    '',
    line,
    '',
  ].join('\n');
}
