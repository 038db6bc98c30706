/** `url` servers in one agent thread: connections and logins. Only url-servers.ts loads it. */
import { createOAuthPart } from './oauth/oauth-part.js';
import { Remotes } from './remote/remotes.js';
import type { CreateUrlPart } from './url-servers.js';

export const createUrlPart: CreateUrlPart = (options) => {
  const oauth = createOAuthPart(options);
  return {
    remotes: new Remotes(options.config, options.log, { auth: oauth.source }),
    handlers: oauth.handlers,
    forget: (of) => oauth.source.forget(of),
    close: () => oauth.close(),
  };
};
