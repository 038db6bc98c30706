/** `url` servers in one agent thread: connections and logins. Only url-servers.ts loads it. */
import { createOAuthPart } from './oauth/oauth-part.js';
import { SlotWakes } from '../http/slot-wakes.js';
import { Remotes } from './remote/remotes.js';
import type { CreateUrlPart } from './url-servers.js';

export const createUrlPart: CreateUrlPart = (options) => {
  const { config, log, slots, index, threads } = options;
  const oauth = createOAuthPart(options);
  const shared = slots && new SlotWakes(slots.memory, () => slots.places, { thread: index, threads });
  return {
    remotes: new Remotes(config, log, { auth: oauth.source, slots: shared }),
    handlers: oauth.handlers,
    forget: (of) => oauth.source.forget(of),
    close: () => oauth.close(),
  };
};
