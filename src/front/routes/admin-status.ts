/** Route of /v1/admin/status: how the server does. Main thread. */
import type { ServerStatus } from '../../shared/server-status.js';
import type { Hub } from '../hub.js';
import type { Presence } from '../presence.js';
import { get, type Route } from '../router.js';

/** Without what the front alone knows. */
export type EngineStatus = Omit<ServerStatus, 'people' | 'sessions'> & { sessionsInMemory: number };

export interface StatusRouteParts {
  engine: () => Promise<EngineStatus>;
  presence: Pick<Presence, 'users' | 'size'>;
  hub: Pick<Hub, 'sessions'>;
}

export function statusRoutes({ engine, presence, hub }: StatusRouteParts): Route[] {
  const read = async (): Promise<ServerStatus> => {
    const { sessionsInMemory, ...rest } = await engine();
    const people = { users: presence.users.size, connections: presence.size };
    return { ...rest, people, sessions: { attached: hub.sessions, inMemory: sessionsInMemory } };
  };
  let running: Promise<ServerStatus> | undefined;
  /** All threads are asked for it, and those who ask meanwhile share the answer: a hundred who look cost as much as one. */
  const shared = (): Promise<ServerStatus> => (running ??= read().finally(() => (running = undefined)));
  return [get('/v1/admin/status', async ({ exchange }) => exchange.json(200, await shared()), { access: 'operator' })];
}
