/** The configuration's part `auth.browsers`: how long a browser stays logged in. Main thread and command line. */
import { z } from 'zod';
import { isLoopbackHost } from './config-oidc.js';

/** A cookie is given anew after a quarter of its time: that must not be with each request. */
const MIN_IDLE_MS = 60_000;
/** Ended logins are remembered until no cookie can be older. */
const MAX_SESSION_MS = 2_592_000_000;

export const browsersSchema = z
  .strictObject({
    sessionMs: z
      .number()
      .int()
      .min(MIN_IDLE_MS)
      .max(MAX_SESSION_MS)
      .default(43_200_000)
      .describe('A login of a browser ends after so long (12 h), however much it is used; groups are as of the login'),
    idleMs: z
      .number()
      .int()
      .min(MIN_IDLE_MS)
      .max(MAX_SESSION_MS)
      .default(7_200_000)
      .describe('A login that makes no HTTP request for so long (2 h) ends'),
  })
  .prefault({});

/** Why browsers could not log in at the issuer, by what is configured; undefined: they can. `host`: where the server listens. */
export function browserProblem(publicUrl: string | undefined, host: string): string | undefined {
  if (publicUrl === undefined) {
    if (isLoopbackHost(host) || host === '::1') return undefined;
    return `is not set, but auth.oidc.clientId is, and listen.host is ${host}: say where browsers come back`;
  }
  const { protocol, hostname, pathname } = new URL(publicUrl);
  if (pathname !== '/') return 'has a path, but auth.oidc.clientId is set: the pages of a log-in stand at the root';
  if (protocol === 'https:' || isLoopbackHost(hostname)) return undefined;
  return 'is http, but auth.oidc.clientId is set: a cookie that logs a browser in must not cross a network in the clear';
}
