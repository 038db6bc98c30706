/** Whether the page shows one thing at a time, as its stylesheets do. */
import { useSyncExternalStore } from 'react';

const phone = watch('(max-width: 720px)');
const tablet = watch('(max-width: 1000px)');

function watch(words: string): { subscribe: (listener: () => void) => () => void; read: () => boolean } {
  const query = matchMedia(words);
  return {
    subscribe: (listener) => {
      query.addEventListener('change', listener);
      return () => query.removeEventListener('change', listener);
    },
    read: () => query.matches,
  };
}

/** The list of conversations is a page of its own. */
export function useNarrow(): boolean {
  return useSyncExternalStore(phone.subscribe, phone.read);
}

/** What stands beside a conversation takes its place. */
export function useOneColumn(): boolean {
  return useSyncExternalStore(tablet.subscribe, tablet.read);
}
