/** The work: the list of sessions beside one conversation; one after the other on a narrow screen. */
import type { Fairlead } from 'fairlead/client';
import { lazy, Suspense, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { Somebody } from '../live/login.js';
import { useNotices } from '../live/notices.js';
import { go, goToPage, usePage, usePlace, type PageName } from '../live/place.js';
import { newMessageId, SessionStore } from '../live/session-store.js';
import { useSessions } from '../live/sessions.js';
import { useWaiting } from '../live/waiting.js';
import { Chat } from './Chat.js';
import { FilesPane } from './FilesPane.js';
import { Fresh } from './Fresh.js';
import { Help } from './Help.js';
import { lazyPart } from './lazy-part.js';
import { Rail } from './Rail.js';

const Servers = lazy(() => lazyPart(async () => (await import('./Servers.js')).Servers));
const You = lazy(() => lazyPart(async () => (await import('./You.js')).You));
const System = lazy(() => lazyPart(async () => (await import('./System.js')).System));
const Inbox = lazy(() => lazyPart(async () => (await import('./Inbox.js')).Inbox));

/** What a new session begins with. */
interface First {
  session: string;
  text: string;
  id: string;
  files: readonly File[];
}

export interface WorkProps {
  client: Fairlead;
  person: Somebody;
  canLogOut: boolean;
  /** The login has ended. */
  onRefused: () => void;
}

export function Work({ client, person, canLogOut, onRefused }: WorkProps) {
  const place = usePlace();
  const page = usePage();
  const sessions = useSessions(client, onRefused);
  const waits = useWaiting(client, onRefused);
  const notices = useNotices(waits.items);
  const [pane, setPane] = useState<'list' | 'chat'>('chat');
  const [help, setHelp] = useState(false);
  /** No state: the address changes before a state does. */
  const first = useRef<First>();
  const waiting = waits.items?.length ?? 0;
  const title = sessions.list?.find(({ session }) => session === place)?.title;
  const pageTitle = page === undefined ? title : PAGE_TITLES[page];

  // With what the page shows, not a moment later.
  useLayoutEffect(() => {
    document.title = `${waiting > 0 ? `(${waiting}) ` : ''}${pageTitle ? `${pageTitle} · ` : ''}Fairlead`;
  }, [waiting, pageTitle]);

  // Also where a notification or the back button leads to it.
  useEffect(() => {
    if (page !== undefined) setPane('chat');
  }, [page]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof Element && event.target.matches('input, textarea, select');
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        setPane('list');
        // After the pane is there.
        requestAnimationFrame(() => document.getElementById('search')?.focus());
      } else if (event.key === '?' && !isTyping) setHelp(true);
      else if (event.key === '/' && !isTyping) {
        event.preventDefault();
        document.getElementById('message')?.focus();
      }
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);

  const open = useCallback((session: string | undefined) => {
    if (first.current?.session !== session) first.current = undefined;
    go(session);
    setPane('chat');
  }, []);
  const toList = useCallback(() => setPane('list'), []);
  const openPage = useCallback((name: PageName) => {
    goToPage(name);
    setPane('chat');
  }, []);
  const { refresh: refreshSessions } = sessions;
  const { refresh: refreshWaiting } = waits;
  const refresh = useCallback(
    async () => void (await Promise.all([refreshSessions(), refreshWaiting()])),
    [refreshSessions, refreshWaiting],
  );
  const begin = useCallback(
    async (text: string, files: readonly File[]) => {
      const { session } = await client.createSession();
      // The same id each time it is said: it runs once.
      first.current = { session, text, id: newMessageId(), files };
      open(session);
    },
    [client, open],
  );

  return (
    <div className="work" data-pane={pane}>
      <Rail
        client={client}
        person={person}
        canLogOut={canLogOut}
        sessions={sessions}
        place={place}
        page={page}
        waiting={waiting}
        onOpen={open}
        onPage={openPage}
        onHelp={() => setHelp(true)}
        onRefused={onRefused}
      />
      {page !== undefined ? (
        <Suspense fallback={<main className="chat" aria-busy="true" />}>
          {page === 'servers' && <Servers client={client} onBack={toList} />}
          {page === 'you' && <You client={client} onBack={toList} />}
          {page === 'system' && <System client={client} person={person} onBack={toList} />}
          {page === 'inbox' && (
            <Inbox client={client} list={waits} notices={notices} onChanged={refresh} onOpen={open} onBack={toList} />
          )}
        </Suspense>
      ) : place === undefined ? (
        <Fresh onBegin={begin} onBack={() => setPane('list')} />
      ) : (
        <Opened
          key={place}
          client={client}
          id={place}
          title={title ?? ''}
          first={first.current?.session === place ? first.current : undefined}
          onChanged={refresh}
          onBack={() => setPane('list')}
          onNew={() => open(undefined)}
          onRefused={onRefused}
        />
      )}
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

const PAGE_TITLES: Record<PageName, string> = {
  inbox: 'Waiting for you',
  servers: 'Servers',
  you: 'You',
  system: 'System',
};

interface OpenedProps {
  client: Fairlead;
  id: string;
  title: string;
  first: First | undefined;
  onChanged: () => Promise<void>;
  onBack: () => void;
  onNew: () => void;
  onRefused: () => void;
}

/** Connects while it is shown. */
function Opened({ client, id, first, ...rest }: OpenedProps) {
  const [store, setStore] = useState<SessionStore>();
  const [begun] = useState(first);
  useEffect(() => {
    const opened = new SessionStore(client, id);
    if (begun) opened.say(begun.text, begun);
    setStore(opened);
    return () => opened.close();
  }, [client, id, begun]);
  const [hasFiles, setHasFiles] = useState(false);
  if (!store) return <main className="chat" aria-busy="true" />;
  return (
    <div className={hasFiles ? 'opened with-pane' : 'opened'}>
      <Chat store={store} hasFiles={hasFiles} onFiles={() => setHasFiles(!hasFiles)} {...rest} />
      {hasFiles && <FilesPane store={store} onClose={() => setHasFiles(false)} />}
    </div>
  );
}
