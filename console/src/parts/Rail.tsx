/** The list of sessions: what waits for its user comes first. */
import type { ClientError, Fairlead } from 'fairlead/client';
import { useMemo, useState, type ReactNode } from 'react';
import { logOut, type Somebody } from '../live/login.js';
import type { Listed, Sessions } from '../live/sessions.js';
import { useNarrow } from '../live/narrow.js';
import type { PageName } from '../live/place.js';
import { chooseTheme, readTheme, THEMES, type Theme } from '../live/theme.js';
import { oneLine } from '../model/plain.js';
import { agoWords, dayOf } from '../model/words.js';
import { SessionMenu } from './SessionMenu.js';
import { wordsOf } from './words-of.js';
import '../styles/rail.css';

export interface RailProps {
  client: Fairlead;
  person: Somebody;
  canLogOut: boolean;
  sessions: Sessions;
  place: string | undefined;
  page: PageName | undefined;
  /** Calls and questions in all sessions. */
  waiting: number;
  onOpen: (session: string | undefined) => void;
  onPage: (page: PageName) => void;
  onHelp: () => void;
  onRefused: () => void;
}

export function Rail(props: RailProps) {
  const { client, person, canLogOut, sessions, place, page, waiting, onOpen, onPage, onHelp, onRefused } = props;
  // On a phone it is the page, not beside one.
  const Tag = useNarrow() ? 'main' : 'nav';
  const [query, setQuery] = useState('');
  const [problem, setProblem] = useState('');
  const { list, hasMore } = sessions;
  const groups = useMemo(() => groupsOf(list ?? [], query), [list, query]);
  const now = Date.now();

  async function act(work: Promise<unknown>): Promise<void> {
    try {
      await work;
      setProblem('');
    } catch (error) {
      setProblem(wordsOf(error));
    }
    await sessions.refresh();
  }

  return (
    <Tag className="rail" aria-label="Conversations">
      {Tag === 'main' && <h1 className="unseen">Conversations</h1>}
      <div className="rail-top">
        <button className="button primary wide" type="button" onClick={() => onOpen(undefined)}>
          New conversation
        </button>
        <input
          id="search"
          type="search"
          placeholder="Search"
          aria-label="Search conversations by their title"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          onKeyDown={(event) => {
            const [first] = groups[0]?.sessions ?? [];
            if (event.key === 'Enter' && first) onOpen(first.session);
          }}
        />
        <ul className="pages">
          <li>
            <PageLink to="inbox" page={page} onPage={onPage}>
              Inbox
              {waiting > 0 && (
                <span className="count">
                  {waiting} <span className="unseen">waiting</span>
                </span>
              )}
            </PageLink>
          </li>
          <li>
            <PageLink to="servers" page={page} onPage={onPage}>
              Servers
            </PageLink>
          </li>
          <li>
            <PageLink to="you" page={page} onPage={onPage}>
              You
            </PageLink>
          </li>
          {person.role !== 'user' && (
            <li>
              <PageLink to="system" page={page} onPage={onPage}>
                System
              </PageLink>
            </li>
          )}
        </ul>
      </div>
      <Problem error={sessions.problem} text={problem} />
      <div className="rail-list">
        {groups.map(({ name, sessions: of }) => (
          <section key={name} aria-labelledby={`group-${name.replace(' ', '-')}`}>
            <h2 id={`group-${name.replace(' ', '-')}`}>
              {name}
              {name === WAITING && ` (${of.length})`}
            </h2>
            <ul>
              {of.map((each) => (
                <li key={each.session} className={each.session === place ? 'entry current' : 'entry'}>
                  <a
                    href={`#/s/${each.session}`}
                    aria-current={each.session === place ? 'page' : undefined}
                    onClick={(event) => {
                      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                      event.preventDefault();
                      onOpen(each.session);
                    }}
                  >
                    <span className="entry-title" dir="auto">
                      {nameOf(each)}
                    </span>
                    <Mark {...each} now={now} />
                  </a>
                  <SessionMenu
                    name={nameOf(each)}
                    onRename={(title) => act(client.request('POST', `/v1/sessions/${each.session}`, { title }))}
                    onDelete={async () => {
                      await act(client.deleteSession(each.session));
                      if (each.session === place) onOpen(undefined);
                    }}
                  />
                </li>
              ))}
            </ul>
          </section>
        ))}
        {list?.length === 0 && <p className="hint">No conversations yet. They are listed here.</p>}
        {list && list.length > 0 && groups.length === 0 && (
          <p className="hint">Nothing has “{oneLine(query, 40)}” in its title.</p>
        )}
        {hasMore && (
          <button className="button quiet wide" type="button" onClick={sessions.more}>
            Older ones
          </button>
        )}
      </div>
      <div className="rail-foot">
        <span className="who" dir="auto">
          {oneLine(person.user, 40)}
          {person.role !== 'user' && <span className="role"> {person.role}</span>}
        </span>
        <ThemeChoice />
        <button className="button quiet" type="button" onClick={onHelp}>
          Keys
        </button>
        {canLogOut && (
          <button
            className="button quiet"
            type="button"
            onClick={() => void logOut().then(onRefused, (error: unknown) => setProblem(wordsOf(error)))}
          >
            Log out
          </button>
        )}
      </div>
    </Tag>
  );
}

interface PageLinkProps {
  to: PageName;
  page: PageName | undefined;
  onPage: (page: PageName) => void;
  children: ReactNode;
}

function PageLink({ to, page, onPage, children }: PageLinkProps) {
  return (
    <a
      href={`#/${to}`}
      aria-current={page === to ? 'page' : undefined}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        onPage(to);
      }}
    >
      {children}
    </a>
  );
}

function Problem({ error, text }: { error: ClientError | undefined; text: string }) {
  const said = text === '' && error ? `The list may be old: ${wordsOf(error)}` : text;
  return (
    <p className="problem" role="status">
      {said}
    </p>
  );
}

function Mark({ waiting, running, lastActiveAt, now }: Listed & { now: number }) {
  if (waiting > 0) return <span className="mark waiting">waits for you</span>;
  if (running) return <span className="mark running">works</span>;
  return <span className="mark">{agoWords(lastActiveAt, now)}</span>;
}

function ThemeChoice() {
  const [theme, setTheme] = useState(readTheme);
  return (
    <select
      aria-label="Colours"
      value={theme}
      onChange={(event) => {
        const chosen = event.target.value as Theme;
        chooseTheme(chosen);
        setTheme(chosen);
      }}
    >
      {THEMES.map((each) => (
        <option key={each} value={each}>
          {each === 'system' ? 'As the system' : each === 'light' ? 'Light' : 'Dark'}
        </option>
      ))}
    </select>
  );
}

const WAITING = 'Waiting for you';

function groupsOf(list: readonly Listed[], query: string): { name: string; sessions: Listed[] }[] {
  const wanted = query.trim().toLowerCase();
  const found = list.filter((each) => nameOf(each).toLowerCase().includes(wanted));
  const now = Date.now();
  const groups = new Map<string, Listed[]>();
  for (const name of [WAITING, 'Today', 'This week', 'Earlier']) groups.set(name, []);
  for (const each of found) groups.get(each.waiting > 0 ? WAITING : dayOf(each.lastActiveAt, now))!.push(each);
  return [...groups].flatMap(([name, sessions]) => (sessions.length === 0 ? [] : [{ name, sessions }]));
}

export function nameOf({ title, createdAt }: Pick<Listed, 'title' | 'createdAt'>): string {
  return title === '' ? `Untitled, ${new Date(createdAt).toLocaleString()}` : oneLine(title);
}
