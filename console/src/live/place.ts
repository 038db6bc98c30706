/** What the address names, behind its #: a session, or a page. The back button and a bookmark lead to it. */
import { useSyncExternalStore } from 'react';

export const PAGES = ['inbox', 'servers', 'you', 'system'] as const;
export type PageName = (typeof PAGES)[number];

const subscribe = (listener: () => void): (() => void) => {
  addEventListener('hashchange', listener);
  return () => removeEventListener('hashchange', listener);
};

const read = (): string | undefined => /^#\/s\/([\w-]{1,64})$/.exec(location.hash)?.[1];
const readPage = (): PageName | undefined => PAGES.find((name) => location.hash === `#/${name}`);

/** Undefined: a new conversation, or a page. */
export function usePlace(): string | undefined {
  return useSyncExternalStore(subscribe, read);
}

/** Undefined: a conversation. */
export function usePage(): PageName | undefined {
  return useSyncExternalStore(subscribe, readPage);
}

export function go(session: string | undefined): void {
  location.hash = session === undefined ? '#/' : `#/s/${session}`;
}

export function goToPage(name: PageName): void {
  location.hash = `#/${name}`;
}
