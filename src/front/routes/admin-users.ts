/** Routes of /v1/admin/users/NAME/…: what administrators do with a user. Main thread. */
import type { AdminDesk } from '../../admin/desk.js';
import { audited, auditedAs } from '../../shared/audit.js';
import { noBody } from '../frames.js';
import { post, type Route } from '../router.js';
import { userOf } from './admin-credentials.js';

export interface AdminUserParts {
  desk: AdminDesk;
}

export function adminUserRoutes({ desk }: AdminUserParts): Route[] {
  return [
    post(
      '/v1/admin/users/:user/kick',
      noBody,
      async (call) => {
        const user = userOf(call);
        await audited({ what: 'admin', ...auditedAs(call.user, call.who), about: { act: 'user_kicked', owner: user } });
        call.exchange.json(200, { user, closed: await desk.kick(user) });
      },
      { access: 'admin' },
    ),
  ];
}
