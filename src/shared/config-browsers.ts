/** The configuration's part `auth.browsers`: how long a browser stays logged in. Main thread and command line. */
import { z } from 'zod';

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
