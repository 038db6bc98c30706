/** Whether the page shows one thing at a time, as styles.css does. */
import { useSyncExternalStore } from 'react';

const query = matchMedia('(max-width: 720px)');

const subscribe = (listener: () => void): (() => void) => {
  query.addEventListener('change', listener);
  return () => query.removeEventListener('change', listener);
};

export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => query.matches);
}
