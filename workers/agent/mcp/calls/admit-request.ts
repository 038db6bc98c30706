/** Lets a user's own request for a resource or a prompt through: judged, and recorded before it is made. Agent threads. */
import { audit, audited } from '../../../../src/shared/audit.js';
import { isFairleadError } from '../../../../src/shared/errors.js';
import type { Asker } from '../../../../src/shared/policy/policy.js';
import { refuseDenied, ruledAs, type JudgedRequest } from './judge.js';
import type { Policy } from './policy.js';

export interface Requester extends Asker {
  session?: string;
  who?: Asker['who'] & { credential?: string; address?: string };
}

/** ERR_DENIED; ERR_UNAVAILABLE while it cannot be recorded. */
export async function admitRequest(policy: Policy, of: Requester, request: JudgedRequest): Promise<void> {
  const { server, method, params } = request;
  const { credential, address } = of.who ?? {};
  const entry = {
    user: of.user,
    credential,
    address,
    session: of.session,
    about: { server, tool: ruledAs(method) },
    args: params,
  };
  try {
    await refuseDenied(policy, of, request);
  } catch (error) {
    const about = { ...entry.about, by: 'policy' };
    if (isFairleadError(error, 'ERR_DENIED')) audit({ ...entry, what: 'tool_denied', outcome: 'refused', about });
    throw error;
  }
  await audited({ what: 'resource_read', ...entry });
}
