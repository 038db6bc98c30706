/** Which session the address names, behind its #: the back button and a bookmark lead to it. */
import { useSyncExternalStore } from 'react';

const subscribe = (listener: () => void): (() => void) => {
  addEventListener('hashchange', listener);
  return () => removeEventListener('hashchange', listener);
};

const read = (): string | undefined => /^#\/s\/([\w-]{1,64})$/.exec(location.hash)?.[1];

/** Undefined: a new conversation. */
export function usePlace(): string | undefined {
  return useSyncExternalStore(subscribe, read);
}

export function go(session: string | undefined): void {
  location.hash = session === undefined ? '#/' : `#/s/${session}`;
}
