/** The list of the user's sessions: kept fresh while somebody looks. */
import { ClientError, type Fairlead } from 'fairlead/client';
import { useCallback, useEffect, useRef, useState } from 'react';

const REFRESH_MS = 10_000;
const PAGE = 50;

export interface Listed {
  session: string;
  model: string;
  title: string;
  /** ms since the epoch. */
  createdAt: number;
  lastActiveAt: number;
  turns: number;
  running: boolean;
  /** Approvals and questions that wait for the user. */
  waiting: number;
}

interface Page {
  sessions: Listed[];
  next?: string;
}

export interface Sessions {
  /** Undefined until the first answer. */
  list: Listed[] | undefined;
  hasMore: boolean;
  problem: ClientError | undefined;
  refresh: () => Promise<void>;
  more: () => void;
}

export function useSessions(client: Fairlead, onRefused: () => void): Sessions {
  const [list, setList] = useState<Listed[]>();
  const [next, setNext] = useState<string>();
  const [problem, setProblem] = useState<ClientError>();
  /** How many are shown: a refresh asks for as many. */
  const wanted = useRef(PAGE);
  const refresh = useCallback(async () => {
    try {
      const found: Listed[] = [];
      let cursor: string | undefined;
      do {
        const query = new URLSearchParams({ limit: String(PAGE), ...(cursor !== undefined && { cursor }) });
        const page = await client.request<Page>('GET', `/v1/sessions?${query.toString()}`);
        found.push(...page.sessions);
        cursor = page.next;
      } while (cursor !== undefined && found.length < wanted.current);
      setList(found);
      setNext(cursor);
      setProblem(undefined);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (error.code === 'ERR_UNAUTHORIZED') onRefused();
      else setProblem(error);
    }
  }, [client, onRefused]);
  useEffect(() => {
    const look = (): void => {
      if (!document.hidden) void refresh();
    };
    look();
    const timer = setInterval(look, REFRESH_MS);
    document.addEventListener('visibilitychange', look);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', look);
    };
  }, [refresh]);
  const more = useCallback(() => {
    wanted.current += PAGE;
    void refresh();
  }, [refresh]);
  return { list, hasMore: next !== undefined, problem, refresh, more };
}
