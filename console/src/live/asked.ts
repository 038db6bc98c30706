/** A question that a page puts to the server: once, and again when the page asks for it. */
import { ClientError, type Fairlead } from 'fairlead/client';
import { useCallback, useEffect, useRef, useState } from 'react';

export interface Answered<T> {
  /** Undefined until the first answer. */
  value: T | undefined;
  /** Of the last try. */
  problem: ClientError | undefined;
  refresh: () => Promise<void>;
}

/** `everyMs`: also by itself, while somebody looks. */
export function useAsked<T>(client: Fairlead, path: string, everyMs?: number): Answered<T> {
  const [value, setValue] = useState<T>();
  const [problem, setProblem] = useState<ClientError>();
  const asked = useRef(0);
  const refresh = useCallback(async () => {
    const number = ++asked.current;
    try {
      const answer = await client.request<T>('GET', path);
      if (number !== asked.current) return;
      setValue(answer);
      setProblem(undefined);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (number === asked.current) setProblem(error);
    }
  }, [client, path]);
  useEffect(() => {
    void refresh();
    if (everyMs === undefined) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) void refresh();
    }, everyMs);
    return () => clearInterval(timer);
  }, [refresh, everyMs]);
  return { value, problem, refresh };
}
