/** GET /v1/export, and what it shares with an administrator's export of a user: a tar, written as its reader takes it. Main thread. */
import type { ExportOrder, UserExports } from '../../admin/export/user-export.js';
import { audited, auditedAs } from '../../shared/audit.js';
import { errorToData } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import { LongAnswer } from '../long-answer.js';
import type { Presence } from '../presence.js';
import { get, type Route, type RouteCall } from '../router.js';

export interface ExportParts {
  exports: Pick<UserExports, 'open'>;
  presence: Presence;
  log: Logger;
}

export function exportRoutes(parts: ExportParts): Route[] {
  return [
    get(
      '/v1/export',
      async (call) => {
        const { user, who } = call;
        await audited({ what: 'user_exported', ...auditedAs(user, who) });
        await sendExport(call, parts, { user });
      },
      { noHead: true },
    ),
  ];
}

/** Rejects with the error to answer with, unless the answer has begun: then the connection is cut, so that a part is not taken for all. */
export async function sendExport(call: RouteCall, parts: ExportParts, order: ExportOrder): Promise<void> {
  const { exchange, person } = call;
  const { exports, presence, log } = parts;
  const answer = LongAnswer.enter(presence, exchange, person);
  const gone = new AbortController();
  exchange.onClose(() => gone.abort());
  let begun = false;
  try {
    for await (const chunk of exports.open(order, gone.signal)) {
      if (!exchange.open) break;
      if (!begun) {
        const name = `${order.user.replaceAll(/[^\w.-]/g, '_')}-${new Date().toISOString().slice(0, 10)}.tar`;
        answer.begin([
          ['Content-Type', 'application/x-tar'],
          ['Content-Disposition', `attachment; filename="${name}"`],
        ]);
      }
      begun = true;
      await answer.write(chunk);
    }
    answer.end();
  } catch (error) {
    if (!begun) throw error;
    if (exchange.open) log.warn({ user: order.user, err: errorToData(error).message }, 'an export was cut');
    exchange.cut();
  }
}
