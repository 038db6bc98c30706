/** Loaded into a server before it starts (`node --import`): accepts steps and stores none, to see what storing costs. */
import { isMainThread, workerData } from 'node:worker_threads';
import type { Store } from '../../workers/agent/store/store.js';

type Commit = Parameters<Store['commit']>[1];

if (!isMainThread && (workerData as { index?: number } | null)?.index !== undefined) {
  const { RedisStore } = await import('../../workers/agent/store/redis-store.js');
  const histories = new Map<string, NonNullable<Commit['messages']>>();
  const changes = new Map<string, Commit['row'] & { seq?: number }>();
  const readSession: Store['readSession'] = Reflect.get(RedisStore.prototype, 'readSession');
  RedisStore.prototype.commit = async (session, { messages = [], clearHistory, row, events }) => {
    const before = clearHistory ? [] : (histories.get(session) ?? []);
    histories.set(session, [...before, ...messages]);
    const seq = events.at(-1)?.seq;
    changes.set(session, { ...changes.get(session), ...row, ...(seq === undefined ? {} : { seq }) });
    return { ok: true };
  };
  RedisStore.prototype.readHistory = async (session) => [...(histories.get(session) ?? [])];
  RedisStore.prototype.readSession = async function (session) {
    const row = await readSession.call(this, session);
    return row && { ...row, ...changes.get(session) };
  };
}
