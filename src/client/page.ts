/** The page around the client, where there is one: whether it is online, and when it wakes. */

interface Target {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
}

interface Page extends Target {
  document?: Target;
  navigator?: { onLine?: boolean };
  location?: { origin?: string };
}

// `crypto`: something that is everywhere, or TypeScript takes the two for strangers.
const page: Page & { crypto: unknown } = globalThis;

/** A network that is away. A server on this machine may be reached all the same. */
export const isOffline = (): boolean => page.navigator?.onLine === false;

export const pageOrigin = (): string | undefined => page.location?.origin;

/** Calls `wake` when the network is back and when the page is looked at again. Returns what stops that. */
export function onWake(wake: () => void): () => void {
  const places = [
    [page, 'online'],
    [page.document, 'visibilitychange'],
  ] as const;
  for (const [target, type] of places) target?.addEventListener?.(type, wake);
  return () => {
    for (const [target, type] of places) target?.removeEventListener?.(type, wake);
  };
}
