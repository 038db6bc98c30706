/** Routes of /v1/admin/drain: whether this server takes new work. Main thread. */
import type { Drain } from '../../admin/drain.js';
import { audited, auditedAs } from '../../shared/audit.js';
import { noBody } from '../frames.js';
import { del, get, post, type Route, type RouteCall } from '../router.js';

export function drainRoutes(drain: Pick<Drain, 'begin' | 'end' | 'read'>): Route[] {
  return [
    get('/v1/admin/drain', async ({ exchange }) => exchange.json(200, await drain.read()), { access: 'operator' }),
    post(
      '/v1/admin/drain',
      noBody,
      async (call) => {
        await record(call, 'drain');
        call.exchange.json(200, await drain.begin());
      },
      { access: 'admin' },
    ),
    del(
      '/v1/admin/drain',
      async (call) => {
        await record(call, 'undrain');
        call.exchange.json(200, await drain.end());
      },
      { access: 'admin' },
    ),
  ];
}

function record({ user, who }: RouteCall, act: string): Promise<void> {
  return audited({ what: 'admin', ...auditedAs(user, who), about: { act } });
}
