/** Answers for requests that no user waits for: lists, tests, HTTP pages. Agent threads. */
import type { ServerAsks } from '../host/server-connection.js';

/** Answers no question of a server. Compared by identity: it also means that nobody can be asked to log in. */
export const NOBODY: ServerAsks = {
  elicit: async () => ({ action: 'cancel' }),
};
