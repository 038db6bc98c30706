/** One conversation: its state, its items, what waits, and where to write. */
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { Virtuoso, type VirtuosoHandle } from 'react-virtuoso';
import { useFollow } from '../live/follow.js';
import type { SessionStore, Snapshot } from '../live/session-store.js';
import { asksOf } from '../model/fold.js';
import { oneLine } from '../model/plain.js';
import { waitWords } from '../model/words.js';
import { Composer } from './Composer.js';
import { ConnectionMark } from './ConnectionMark.js';
import { ItemView } from './ItemView.js';
import { Prompts } from './Prompts.js';
import { UserMessage } from './UserMessage.js';

export interface ChatProps {
  store: SessionStore;
  title: string;
  /** Something has happened that the list of sessions shows. */
  onChanged: () => Promise<void>;
  onBack: () => void;
  onNew: () => void;
  onRefused: () => void;
  hasFiles: boolean;
  onFiles: () => void;
}

export function Chat({ store, title, onChanged, onBack, onNew, onRefused, hasFiles, onFiles }: ChatProps) {
  const snapshot = useSyncExternalStore(store.subscribe, store.read);
  const { view, connection, problem, loaded } = snapshot;
  const list = useRef<VirtuosoHandle>(null);
  const [atEnd, setAtEnd] = useState(true);
  const [prompts, setPrompts] = useState(false);
  const asks = asksOf(view);
  const [ask] = asks;
  const running = view.turn !== undefined || view.line.length > 0;

  useEffect(() => void onChanged(), [onChanged, view.turn, asks.length]);
  useEffect(() => {
    if (connection.code === 'ERR_UNAUTHORIZED') onRefused();
  }, [connection.code, onRefused]);
  const { scrollerRef, grown, endShown } = useFollow();
  // A text that grows adds no item, and what waits stands behind the items: the list does not follow by itself.
  useEffect(grown, [grown, view]);

  if (connection.state === 'closed' && connection.code === 'ERR_NO_SUCH_SESSION') {
    return <Gone onNew={onNew} onBack={onBack} />;
  }
  return (
    <main className="chat">
      <header className="bar">
        <button className="button quiet back" type="button" onClick={onBack}>
          ‹ Conversations
        </button>
        <h1 dir="auto">{title === '' ? 'Conversation' : oneLine(title)}</h1>
        <span className="model">{oneLine(view.model, 40)}</span>
        <button className="button quiet small" type="button" aria-expanded={hasFiles} onClick={onFiles}>
          Files
        </button>
        <ConnectionMark connection={connection} onRetry={() => store.reconnect()} />
      </header>
      <div className="log" aria-busy={!loaded}>
        {!loaded && view.items.length === 0 && <p className="loading">Loading the conversation …</p>}
        <Virtuoso
          ref={list}
          className="scroller"
          data={view.items}
          computeItemKey={(_place, item) => item.key}
          itemContent={(_place, item) => <ItemView item={item} store={store} />}
          initialTopMostItemIndex={{ index: 'LAST', align: 'end' }}
          alignToBottom
          atBottomThreshold={48}
          atBottomStateChange={(isShown) => {
            endShown(isShown);
            setAtEnd(isShown);
          }}
          totalListHeightChanged={grown}
          scrollerRef={scrollerRef}
          increaseViewportBy={600}
          role="log"
          aria-label="Conversation"
          aria-live="off"
          components={{ Header: Earlier, Footer: Line }}
          context={{ snapshot, store }}
        />
        {!atEnd && (
          <button
            className="button pill"
            type="button"
            onClick={() =>
              list.current?.scrollToIndex(
                ask ? { index: view.items.indexOf(ask), align: 'center' } : { index: 'LAST', align: 'end' },
              )
            }
          >
            {ask ? 'To what waits for you' : 'To the newest'}
          </button>
        )}
      </div>
      <Announcer snapshot={snapshot} />
      {problem && (
        <div className="problem bar" role="alert">
          <span>
            {problem.message} <code>{problem.code}</code>
          </span>
          <button className="button quiet small" type="button" onClick={() => store.dismiss()}>
            Dismiss
          </button>
        </div>
      )}
      <Composer
        draftKey={store.id}
        running={running}
        onSend={(text, files) => store.say(text, { files })}
        onCancel={() => store.cancel()}
        written={snapshot.written}
        onSlash={() => setPrompts(true)}
      />
      {prompts && <Prompts store={store} onClose={() => setPrompts(false)} />}
    </main>
  );
}

interface ListContext {
  snapshot: Snapshot;
  store: SessionStore;
}

function Earlier({ context }: { context?: ListContext }) {
  if (context?.snapshot.view.earlier === undefined) return <div className="list-head" />;
  return (
    <div className="list-head">
      <button className="button quiet wide" type="button" onClick={() => void context.store.showEarlier()}>
        Show earlier messages
      </button>
    </div>
  );
}

/** What is not in the conversation yet: messages on their way or in line, and what the turn waits for. */
function Line({ context }: { context?: ListContext }) {
  if (!context) return null;
  const { snapshot, store } = context;
  const { line, waiting, turn, items } = snapshot.view;
  const last = items.at(-1);
  const isSilent = turn !== undefined && (last?.kind === 'user' || (last?.kind === 'tool' && last.state === 'ok'));
  return (
    <div className="list-foot">
      {waiting && <p className="waits">{waitWords(waiting.reason, waiting.retryAfterMs)}</p>}
      {!waiting && isSilent && <p className="waits">The model is asked …</p>}
      {line.map((item) => (
        <UserMessage key={item.key} item={item} store={store} />
      ))}
    </div>
  );
}

/** For those who do not see it: what waits for them, and that an answer is whole. */
function Announcer({ snapshot: { view } }: { snapshot: Snapshot }) {
  const [ask] = asksOf(view);
  const last = view.items.at(-1);
  let said = '';
  if (ask?.kind === 'tool') said = `${oneLine(ask.name, 60)} waits for your approval`;
  else if (ask?.kind === 'question') said = `${oneLine(ask.server, 60)} asks you something`;
  else if (last?.kind === 'end') said = 'The turn is over';
  else if (view.turn !== undefined) said = 'It works';
  return (
    <p className="unseen" role="status">
      {said}
    </p>
  );
}

function Gone({ onNew, onBack }: { onNew: () => void; onBack: () => void }) {
  return (
    <main className="chat">
      <header className="bar">
        <button className="button quiet back" type="button" onClick={onBack}>
          ‹ Conversations
        </button>
        <h1>Not here</h1>
      </header>
      <div className="welcome">
        <p>There is no such conversation for you. It has expired, was deleted, or is somebody else’s.</p>
        <button className="button primary" type="button" onClick={onNew}>
          New conversation
        </button>
      </div>
    </main>
  );
}
