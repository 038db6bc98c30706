/** What waits for the user in all of their sessions: one request for all of it, asked again while the page is there. */
import { ClientError, type Fairlead } from 'fairlead/client';
import { useCallback, useEffect, useRef, useState } from 'react';
import type { Pending } from '../../../src/shared/protocol.js';

const SEEN_MS = 10_000;
/** Nobody looks: the title and a notification may come later. */
const HIDDEN_MS = 30_000;

export type WaitingItem = { session: string; title: string } & Pending;

export interface WaitingList {
  /** Undefined until the first answer. */
  items: WaitingItem[] | undefined;
  /** There may be more of them. */
  more: boolean;
  problem: ClientError | undefined;
  refresh: () => Promise<void>;
}

export function keyOf(item: WaitingItem): string {
  return `${item.session}/${item.kind === 'approval' ? `${item.callId}#${item.tool?.definition}` : item.requestId}`;
}

export function useWaiting(client: Fairlead, onRefused: () => void): WaitingList {
  const [found, setFound] = useState<{ waiting: WaitingItem[]; more?: true }>();
  const [problem, setProblem] = useState<ClientError>();
  const asked = useRef(0);
  const refresh = useCallback(async () => {
    const number = ++asked.current;
    try {
      const answer = await client.request<{ waiting: WaitingItem[]; more?: true }>('GET', '/v1/waiting');
      // One that was asked later has seen more.
      if (number !== asked.current) return;
      setFound(answer);
      setProblem(undefined);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (error.code === 'ERR_UNAUTHORIZED') onRefused();
      else setProblem(error);
    }
  }, [client, onRefused]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isMounted = true;
    const look = async (): Promise<void> => {
      clearTimeout(timer);
      await refresh();
      clearTimeout(timer);
      if (isMounted) timer = setTimeout(() => void look(), document.hidden ? HIDDEN_MS : SEEN_MS);
    };
    const onChange = (): void => {
      if (!document.hidden) void look();
    };
    void look();
    document.addEventListener('visibilitychange', onChange);
    return () => {
      isMounted = false;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onChange);
    };
  }, [refresh]);
  return { items: found?.waiting, more: found?.more === true, problem, refresh };
}
