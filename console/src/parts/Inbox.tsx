/** All that waits for the user, over all sessions, oldest first: each with what is needed to decide. */
import { ClientError, type Fairlead } from 'fairlead/client';
import { useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { answersOverHttp } from '../live/answers.js';
import type { useNotices } from '../live/notices.js';
import { keyOf, type WaitingItem, type WaitingList } from '../live/waiting.js';
import { oneLine } from '../model/plain.js';
import { Approval } from './Approval.js';
import { Arguments } from './Arguments.js';
import { PageFrame } from './PageFrame.js';
import { Question } from './Question.js';
import { wordsOf } from './words-of.js';
import '../styles/inbox.css';

export interface InboxProps {
  client: Fairlead;
  list: WaitingList;
  notices: ReturnType<typeof useNotices>;
  /** Something was answered. */
  onChanged: () => Promise<void>;
  onOpen: (session: string) => void;
  onBack: () => void;
}

export function Inbox({ client, list, notices, onChanged, onOpen, onBack }: InboxProps) {
  const { items, more, problem } = list;
  return (
    <PageFrame
      title="Waiting for you"
      onBack={onBack}
      acts={
        notices.allowed === 'default' && (
          <button className="button quiet small" type="button" onClick={notices.ask}>
            Notify me
          </button>
        )
      }
    >
      {problem && (
        <p className="problem" role="status">
          The list may be old: {wordsOf(problem)}
        </p>
      )}
      {items === undefined && !problem && <p className="hint">Looks for what waits …</p>}
      {items?.length === 0 && (
        <p className="hint">Nothing waits for you. What asks before it runs is listed here, from all conversations.</p>
      )}
      {items?.map((item) => (
        <Ask key={keyOf(item)} item={item} client={client} onChanged={onChanged} onOpen={onOpen} />
      ))}
      {more && <p className="hint">There may be more: answer these, and the rest is listed.</p>}
      {items && items.length > 1 && <AllOfThem client={client} items={items} onChanged={onChanged} />}
    </PageFrame>
  );
}

interface AskProps {
  item: WaitingItem;
  client: Fairlead;
  onChanged: () => Promise<void>;
  onOpen: (session: string) => void;
}

function Ask({ item, client, onChanged, onOpen }: AskProps) {
  const { session, title } = item;
  const answers = useMemo(() => answersOverHttp(client, session, onChanged), [client, session, onChanged]);
  const name = oneLine(item.kind === 'approval' ? item.name : item.server, 60);
  const [note, setNote] = useState('');
  return (
    <article
      className="ask"
      tabIndex={0}
      aria-label={item.kind === 'approval' ? `${name}: waits for you` : `${name}: asks you`}
      onKeyDown={(event) => setNote(onKey(event))}
    >
      <header>
        <h2>{name}</h2>
        <a
          className="from"
          href={`#/s/${session}`}
          dir="auto"
          onClick={(event) => {
            event.preventDefault();
            onOpen(session);
          }}
        >
          {title === '' ? 'Untitled conversation' : oneLine(title, 80)}
        </a>
      </header>
      <div className="card-body">
        {item.kind === 'approval' ? (
          <>
            <p className="hint">a tool of {oneLine(item.server, 60)}</p>
            <Arguments args={item.args} />
            <Approval call={item} store={answers} />
          </>
        ) : (
          <Question question={{ ...item, kind: 'question', key: keyOf(item) }} store={answers} />
        )}
        <p className="hint" role="status">
          {note}
        </p>
      </div>
    </article>
  );
}

/** Keys of one that is focused itself, not something in it. Returns what there is to say. */
function onKey(event: KeyboardEvent<HTMLElement>): string {
  const ask = event.currentTarget;
  if (event.target !== ask || event.ctrlKey || event.metaKey || event.altKey) return '';
  const press = (act: string): void => ask.querySelector<HTMLButtonElement>(`[data-act="${act}"]`)?.click();
  switch (event.key) {
    case 'j':
      focusAsk(ask.nextElementSibling);
      return '';
    case 'k':
      focusAsk(ask.previousElementSibling);
      return '';
    case 'e':
    case 'n':
      // Its key must not be written into the field that gets the focus.
      event.preventDefault();
      press(event.key === 'e' ? 'edit' : 'deny');
      return '';
    case 'Enter':
      event.preventDefault();
      if (!isFullyShown(ask)) {
        ask.scrollIntoView({ block: 'nearest' });
        if (!isFullyShown(ask)) return 'It is longer than the page: read it to its end, and press the button there.';
        return 'Now all of it is shown: press Enter once more.';
      }
      press('approve');
      return '';
    default:
      return '';
  }
}

function focusAsk(element: Element | null): void {
  if (element instanceof HTMLElement && element.matches('.ask')) element.focus();
}

function isFullyShown(ask: HTMLElement): boolean {
  const page = ask.closest('.page')?.getBoundingClientRect();
  const { top, bottom } = ask.getBoundingClientRect();
  return page !== undefined && top >= page.top - 1 && bottom <= page.bottom + 1;
}

/** Stands below all of them. What has changed since it was last looked at is for its own button. */
function AllOfThem({ client, items, onChanged }: Pick<AskProps, 'client' | 'onChanged'> & { items: WaitingItem[] }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const running = useRef(false);
  const calls = items.flatMap((item) =>
    item.kind === 'approval' && !item.tool?.changed && !item.tool?.pin ? [item] : [],
  );
  const left = items.length - calls.length;

  async function approveAll(): Promise<void> {
    if (running.current) return;
    running.current = true;
    setBusy(true);
    setProblem('');
    const refused: string[] = [];
    // Those that are shown now, one after the other: each that is refused says why.
    for (const { session, callId, name, tool } of calls) {
      const yes = { approved: true, ...(tool && { definition: tool.definition }) };
      try {
        await client.request('POST', `/v1/sessions/${session}/approvals/${encodeURIComponent(callId)}`, yes);
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        refused.push(`${oneLine(name, 60)}: ${wordsOf(error)}`);
      }
    }
    running.current = false;
    setBusy(false);
    setProblem(refused.join(' · '));
    await onChanged();
  }

  return (
    <div className="all-of-them">
      {calls.length > 1 && (
        <div className="acts">
          <button className="button" type="button" disabled={busy} onClick={() => void approveAll()}>
            Approve all {calls.length} calls above
          </button>
        </div>
      )}
      {left > 0 && (
        <p className="hint">
          {left} {left === 1 ? 'is' : 'are'} not among them: a question, or a tool that has changed, is answered alone.
        </p>
      )}
      <p className="problem" role="alert">
        {problem}
      </p>
    </div>
  );
}
