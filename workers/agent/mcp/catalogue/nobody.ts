/** For requests that no person waits for: a list, a probe, a page over HTTP. Agent threads. */
import type { ServerAsks } from '../host/server-connection.js';

/** Whatever a server asks is not answered. Known by its identity: nobody is to be sent to a login for it either. */
export const NOBODY: ServerAsks = {
  elicit: async () => ({ action: 'cancel' }),
};
