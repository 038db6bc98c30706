/** The work: the list of sessions beside one conversation; one after the other on a narrow screen. */
import type { Fairlead } from 'fairlead/client';
import { useCallback, useEffect, useRef, useState } from 'react';
import type { Somebody } from '../live/login.js';
import { go, usePlace } from '../live/place.js';
import { newMessageId, SessionStore } from '../live/session-store.js';
import { useSessions } from '../live/sessions.js';
import { Chat } from './Chat.js';
import { FilesPane } from './FilesPane.js';
import { Fresh } from './Fresh.js';
import { Help } from './Help.js';
import { Rail } from './Rail.js';

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
  const sessions = useSessions(client, onRefused);
  const [pane, setPane] = useState<'list' | 'chat'>('chat');
  const [help, setHelp] = useState(false);
  /** No state: the address changes before a state does. */
  const first = useRef<First>();
  const waiting = (sessions.list ?? []).reduce((sum, each) => sum + each.waiting, 0);
  const title = sessions.list?.find(({ session }) => session === place)?.title;

  useEffect(() => {
    document.title = `${waiting > 0 ? `(${waiting}) ` : ''}${title ? `${title} · ` : ''}Fairlead`;
  }, [waiting, title]);

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
  const { refresh } = sessions;
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
        onOpen={open}
        onHelp={() => setHelp(true)}
        onRefused={onRefused}
      />
      {place === undefined ? (
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
