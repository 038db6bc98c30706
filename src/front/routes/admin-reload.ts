/** The route /v1/admin/reload: reads the configuration file again. Main thread. */
import { auditedAs, type AuditedWho } from '../../shared/audit.js';
import { ConfigError } from '../../shared/config.js';
import { errorToData } from '../../shared/errors.js';
import { noBody } from '../frames.js';
import { toProblem } from '../problem.js';
import { post, type Route } from '../router.js';

/** Resolves with what has changed. ConfigError: nothing has. */
export type Reload = (by: AuditedWho) => Promise<object>;

export function reloadRoutes(reload: Reload): Route[] {
  return [
    post(
      '/v1/admin/reload',
      noBody,
      async ({ exchange, user, who }) => {
        try {
          exchange.json(200, await reload(auditedAs(user, who)));
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          const { problems } = error;
          const { status, body } = toProblem(errorToData(error), exchange.head.requestId, { problems });
          exchange.answer(status, 'application/problem+json', body);
        }
      },
      { access: 'admin' },
    ),
  ];
}
