/** Notifications of the browser about what waits, for a page that nobody looks at. Only where the person has allowed them. */
import { useEffect, useRef, useState } from 'react';
import { oneLine } from '../model/plain.js';
import { keyOf, type WaitingItem } from './waiting.js';

export type Allowed = 'granted' | 'denied' | 'default' | 'missing';

const read = (): Allowed => ('Notification' in window ? Notification.permission : 'missing');

/** `ask` must be called from a click. */
export function useNotices(items: readonly WaitingItem[] | undefined): { allowed: Allowed; ask: () => void } {
  const [allowed, setAllowed] = useState(read);
  /** Told, or seen on the page. */
  const known = useRef(new Set<string>());
  useEffect(() => {
    if (!items) return;
    const fresh = items.filter((item) => !known.current.has(keyOf(item)));
    known.current = new Set(items.map(keyOf));
    const [first] = fresh;
    if (allowed === 'granted' && document.hidden && first) show(first, fresh.length);
  }, [items, allowed]);
  return { allowed, ask: () => void Notification.requestPermission().then(setAllowed) };
}

function show(item: WaitingItem, count: number): void {
  const what =
    item.kind === 'approval' ? `${oneLine(item.name, 60)} waits for you` : `${oneLine(item.server, 60)} asks`;
  const title = count > 1 ? `${count} wait for you` : what;
  try {
    // The same tag: a newer one takes the place of the one before.
    const notice = new Notification(title, { body: oneLine(item.title, 80), tag: 'fairlead-waiting' });
    notice.onclick = () => {
      window.focus();
      location.hash = '#/inbox';
      notice.close();
    };
  } catch (error) {
    // Some phones let only a service worker show them: the title says it, too.
    if (!(error instanceof TypeError)) throw error;
  }
}
