/** Holds sessions' sandboxes while the main thread and the docker thread move files in or out. Agent threads. */
import { randomUUID } from 'node:crypto';
import { audit, auditedAs, refuseUnaudited } from '../../../src/shared/audit.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import type { AgentContract } from '../contract/messages.js';
import type { HeldWorkspace, HoldWorkspaceRequest } from '../contract/sandboxes.js';
import type { McpServers } from '../mcp/servers.js';
import type { Sessions } from '../session/sessions.js';

export interface WorkspaceRequestsOptions {
  /** This server's name in the rows that it owns. */
  owner: string;
  sessions: Pick<Sessions, 'read'>;
  servers: Pick<McpServers, 'holdWorkspace'>;
  /** ERR_DRAINING. */
  refuseWhenDraining: () => void;
}

export function workspaceRequests(options: WorkspaceRequestsOptions) {
  const held = new Map<string, () => void>();
  return {
    'hold-workspace': async (request) => {
      const { server, release } = await hold(options, request);
      if (!release) return { server };
      const id = randomUUID(); // not a number: a thread that starts anew must not take one for its own
      held.set(id, release);
      return { server, hold: id } satisfies HeldWorkspace;
    },
    'release-workspace': ({ hold: id }) => {
      held.get(id)?.();
      held.delete(id);
      return null;
    },
  } satisfies Partial<RequestHandlers<AgentContract>>;
}

async function hold(
  { owner, sessions, servers, refuseWhenDraining }: WorkspaceRequestsOptions,
  { user, session, who, server, act }: HoldWorkspaceRequest,
): ReturnType<McpServers['holdWorkspace']> {
  const row = await sessions.read({ user, session });
  if (row.owner !== owner) {
    // Looking moves no session, and its files are where its tools have run.
    const told = 'another server has this session, and its files: ask there, or attach to it here first';
    throw new FairleadError('ERR_STORE_CONFLICT', told);
  }
  if (act !== undefined) refuseWhenDraining();
  const isChange = act !== undefined && act !== 'read';
  if (isChange) refuseUnaudited();
  const found = await servers.holdWorkspace({ user, session, ...(who && { who }) }, server, act !== undefined);
  if (isChange) {
    audit({ what: 'files_changed', ...auditedAs(user, who), session, about: { server: found.server, act } });
  }
  return found;
}
