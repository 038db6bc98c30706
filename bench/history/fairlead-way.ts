/** Fairlead's own store: a step is a commit; lz4 blocks, with the tail sealed in the background. */
import { setImmediate as nextLoop } from 'node:timers/promises';
import { parseConfig } from '../../src/shared/config.js';
import { openStore } from '../../workers/agent/store/open.js';
import type { Way } from './way.js';

const OWNER = 'bench';

export interface FairleadWay extends Way {
  /** How long each seal of a tail took, ms. */
  readonly sealMs: readonly number[];
  close(): Promise<void>;
}

export async function fairleadWay(redisUrl: string): Promise<FairleadWay> {
  const sealMs: number[] = [];
  const failures: unknown[] = [];
  const store = await openStore('redis', parseConfig({}, { REDIS_URL: redisUrl }), {
    owner: OWNER,
    observe: (operation, seconds) => {
      if (operation === 'seal') sealMs.push(seconds * 1_000);
    },
    onError: (operation, error) => failures.push(new Error(operation, { cause: error })),
  });
  const append: Way['append'] = async (session, turn) => {
    for (const messages of turn) await store.commit(session, { events: [], messages });
  };
  return {
    name: 'Fairlead',
    rewrites: false,
    sealMs,
    prepare: async (session, turns) => {
      const now = Date.now();
      await store.createSession({
        session,
        user: 'bench',
        model: 'none',
        title: '',
        createdAt: now,
        lastActiveAt: now,
        seq: 0,
        turns: 0,
        openTurns: [],
        allowed: [],
        owner: OWNER,
        context: null,
      });
      for (const turn of turns) await append(session, turn);
    },
    append,
    // A seal reads in the next turn of the event loop and then writes: two pings come after both.
    settle: async () => {
      const before = sealMs.length;
      for (let round = 0; round < 2; round++) {
        await nextLoop();
        await store.ping();
      }
      if (failures.length > 0) throw failures[0];
      return sealMs.length > before;
    },
    load: (session) => store.readHistory(session),
    keys: (session) => `fairlead:{${session}}:*`,
    close: () => store.close(),
  };
}
