/** How the server does, asked every few seconds, with what went on in the last minutes. */
import type { Fairlead } from 'fairlead/client';
import { useEffect, useRef, useState } from 'react';
import type { ServerStatus } from '../../../src/shared/server-status.js';
import { useAsked } from './asked.js';

const EVERY_MS = 5_000;
/** Rates are of the last minute. */
const MINUTE_MS = 60_000;
/** Ten minutes. */
const MOST_POINTS = 120;

export interface Point {
  /** ms since the epoch. */
  at: number;
  status: ServerStatus;
}

/** Of the last minute. A mean is undefined where there was nothing. */
export interface Rates {
  turnsPerSecond: number;
  failedTurns: number;
  firstTokenMs: number | undefined;
  storeMs: number | undefined;
  toolMs: number | undefined;
  refusedRequests: number;
  modelRefusals: number;
}

export function useSystem(client: Fairlead): { points: readonly Point[]; problem: Error | undefined } {
  const { value, problem } = useAsked<ServerStatus>(client, '/v1/admin/status', EVERY_MS);
  const [points, setPoints] = useState<readonly Point[]>([]);
  const known = useRef<ServerStatus>();
  useEffect(() => {
    if (value === undefined || value === known.current) return;
    known.current = value;
    setPoints((before) => {
      // After a restart its totals begin anew.
      const same = before.at(-1)?.status.startedAt === value.startedAt ? before : [];
      return [...same, { at: Date.now(), status: value }].slice(-MOST_POINTS);
    });
  }, [value]);
  return { points, problem };
}

/** Undefined before there are two answers, and with a server that tells no totals. */
export function ratesOf(points: readonly Point[]): Rates | undefined {
  const last = points.at(-1);
  const first = last && points.find(({ at }) => last.at - at <= MINUTE_MS);
  const [now, then] = [last?.status.totals, first?.status.totals];
  if (!last || !first || !now || !then || first === last) return undefined;
  const seconds = (last.at - first.at) / 1_000;
  const mean = (name: 'firstToken' | 'store' | 'tools'): number | undefined => {
    const count = now[name].count - then[name].count;
    return count > 0 ? ((now[name].seconds - then[name].seconds) / count) * 1_000 : undefined;
  };
  return {
    turnsPerSecond: (now.turns - then.turns) / seconds,
    failedTurns: now.failedTurns - then.failedTurns,
    firstTokenMs: mean('firstToken'),
    storeMs: mean('store'),
    toolMs: mean('tools'),
    refusedRequests: now.refusedRequests - then.refusedRequests,
    modelRefusals: now.modelRefusals - then.modelRefusals,
  };
}
