/** Routes of /v1/admin/sandboxes…: those of this server. Main thread. */
import { z } from 'zod';
import type { SandboxDesk } from '../../admin/sandbox-desk.js';
import { audited, auditedAs } from '../../shared/audit.js';
import { post, get, type Route } from '../router.js';
import { limitOf } from './sessions.js';

const endBody = z.strictObject({
  /** End it also where its files cannot be saved. */
  discard: z.boolean().default(false),
});

export function sandboxRoutes(desk: Pick<SandboxDesk, 'list' | 'find' | 'end'>): Route[] {
  return [
    get(
      '/v1/admin/sandboxes',
      async ({ exchange, query }) => {
        const after = query.get('after') ?? '';
        const limit = limitOf(query);
        const user = query.get('user') || undefined;
        const session = query.get('session') || undefined;
        const rest = (await desk.list()).filter(
          (each) =>
            each.sandbox > after &&
            (user === undefined || each.user === user) &&
            (session === undefined || each.session === session),
        );
        const sandboxes = rest.slice(0, limit);
        exchange.json(200, { sandboxes, ...(rest.length > limit && { next: sandboxes.at(-1)!.sandbox }) });
      },
      { access: 'operator' },
    ),
    post(
      '/v1/admin/sandboxes/:sandbox/end',
      endBody,
      async (call, { discard }) => {
        const { sandbox, session, user } = await desk.find(call.params['sandbox']!);
        const about = { act: 'sandbox_ended', sandbox, discard, ...(user !== undefined && { owner: user }) };
        await audited({ what: 'admin', ...auditedAs(call.user, call.who), session, about });
        call.exchange.json(200, { sandbox, session, saved: await desk.end(sandbox, discard) });
      },
      { access: 'admin' },
    ),
  ];
}
