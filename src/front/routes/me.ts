/** Routes of a user's own: who they are here, the limits that hold for them, and their tokens. Main thread. */
import type { Credentials } from '../../credentials/credentials.js';
import { FairleadError } from '../../shared/errors.js';
import { quotaOf, type QuotaConfig } from '../../shared/quotas.js';
import { del, get, type Route } from '../router.js';
import { actorOf, afterOf, limitOf } from './admin-credentials.js';

export interface MeParts {
  /** Its quotas may change. */
  config: QuotaConfig;
  /** Absent: there are no tokens but those of the configuration. */
  credentials?: Pick<Credentials, 'list' | 'revoke' | 'tokens'> | undefined;
}

export function meRoutes({ config, credentials }: MeParts): Route[] {
  return [
    get('/v1/me', ({ exchange, person }) => {
      const { user, role, groups, credential, expiresAt } = person;
      const limits = quotaOf(config, { user, groups });
      exchange.json(200, { user, role, groups, credential, ...(expiresAt !== undefined && { expiresAt }), limits });
    }),
    get('/v1/tokens', async ({ exchange, query, user }) => {
      const found = await credentials?.list(limitOf(query), afterOf(query), user);
      const { tokens, next } = found ?? { tokens: [], next: undefined };
      exchange.json(200, { tokens, ...(next !== undefined && { next: String(next) }) });
    }),
    del(
      '/v1/tokens/:id',
      async (call) => {
        const id = call.params['id']!;
        // Another user's token is not there for this one.
        const isOwn = credentials?.tokens.ownerOf(id) === call.user;
        if (!isOwn || !(await credentials.revoke(id, actorOf(call)))) {
          throw new FairleadError('ERR_NOT_FOUND', `you have no token ${id}`);
        }
        call.exchange.empty(204);
      },
      // It lets nobody in, so it waits for no audit log.
      { always: true },
    ),
  ];
}
