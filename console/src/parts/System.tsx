/** The box for those who run it: what a turn goes through, live; whose sessions there are, and who has used how much. */
import { ClientError, type Fairlead } from 'fairlead/client';
import { useState } from 'react';
import { useAsked } from '../live/asked.js';
import type { Somebody } from '../live/login.js';
import { ratesOf, useSystem } from '../live/system.js';
import { oneLine } from '../model/plain.js';
import { stagesOf } from '../model/stages.js';
import { agoWords, durationWords, sizeWords } from '../model/words.js';
import { PageFrame } from './PageFrame.js';
import { Plot } from './Plot.js';
import { UsageTable, type UsagePage } from './UsageTable.js';
import { wordsOf } from './words-of.js';
import '../styles/system.css';

const LISTS_MS = 15_000;
const KINDS = ['user', 'group', 'model', 'day'] as const;

interface SessionSize {
  session: string;
  user: string;
  lastActiveAt: number;
  turns: number;
  historyBytes?: number;
  running: boolean;
  queued: number;
  pending: number;
}

export interface SystemProps {
  client: Fairlead;
  person: Somebody;
  onBack: () => void;
}

export function System({ client, person, onBack }: SystemProps) {
  const { points, problem } = useSystem(client);
  const status = points.at(-1)?.status;
  const rates = ratesOf(points);
  return (
    <PageFrame title="System" onBack={onBack}>
      {problem && (
        <p className="problem" role="status">
          The figures may be old: {wordsOf(problem)}
        </p>
      )}
      {!status && !problem && <p className="hint">Loading …</p>}
      {status && (
        <>
          <p className={status.ready ? 'hint' : 'problem'}>
            Fairlead {status.version}, up for {durationWords(status.uptimeMs)}
            {status.ready ? '' : `; not ready: ${status.reasons.join('; ')}`}
          </p>
          <ol className="stages" aria-label="What a turn goes through">
            {stagesOf(status, rates).map(({ name, load, facts, faults }) => (
              <li key={name} className={faults.length > 0 ? 'stage bad' : 'stage'}>
                <h2>{name}</h2>
                <p className="load">{load}</p>
                {facts.map((fact) => (
                  <p key={fact} className="hint">
                    {oneLine(fact, 120)}
                  </p>
                ))}
                {faults.map((fault) => (
                  <p key={fault} className="problem">
                    {oneLine(fault, 200)}
                  </p>
                ))}
              </li>
            ))}
          </ol>
          <Plot points={points} />
        </>
      )}
      {person.role === 'admin' && <Reload client={client} />}
      <SessionsList client={client} />
      <Usage client={client} />
      <p className="hint">
        More on the machine itself: <code>fairlead doctor</code> judges it, <code>fairlead audit</code> searches what
        was done.
      </p>
    </PageFrame>
  );
}

interface Report {
  changed: Record<string, string[]>;
  restart: string[];
  warnings: string[];
}

function Reload({ client }: { client: Fairlead }) {
  const [said, setSaid] = useState<{ isBad: boolean; lines: string[] }>();
  const [busy, setBusy] = useState(false);

  async function reload(): Promise<void> {
    setBusy(true);
    try {
      const { changed, restart, warnings } = await client.request<Report>('POST', '/v1/admin/reload', {});
      const keys = Object.entries(changed).flatMap(([section, names]) =>
        names.length === 0 ? [section] : names.map((name) => `${section}.${name}`),
      );
      setSaid({
        isBad: false,
        lines: [
          keys.length === 0 ? 'Nothing has changed.' : `Changed: ${keys.join(', ')}.`,
          ...restart.map((key) => `${key} needs a restart.`),
          ...warnings,
        ],
      });
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      setSaid({ isBad: true, lines: [`Nothing has changed: ${wordsOf(error)}`] });
    } finally {
      setBusy(false);
    }
  }

  return (
    <section className="box" aria-labelledby="configuration">
      <header>
        <h2 id="configuration">Configuration</h2>
        <button className="button small" type="button" disabled={busy} onClick={() => void reload()}>
          Read it again
        </button>
      </header>
      <div role="status">
        {said?.lines.map((line) => (
          <p key={line} className={said.isBad ? 'problem' : undefined}>
            {oneLine(line, 1_000)}
          </p>
        ))}
      </div>
    </section>
  );
}

function SessionsList({ client }: { client: Fairlead }) {
  const { value, problem } = useAsked<{ sessions: SessionSize[]; next?: string }>(
    client,
    '/v1/admin/sessions?limit=50',
    LISTS_MS,
  );
  const now = Date.now();
  return (
    <section className="box" aria-labelledby="sessions-of-all">
      <h2 id="sessions-of-all">Sessions, last used first</h2>
      {problem && <p className="problem">{wordsOf(problem)}</p>}
      {value?.sessions.length === 0 && <p className="hint">None yet.</p>}
      {value && value.sessions.length > 0 && (
        <div className="table" tabIndex={0} role="group" aria-label="Sessions of all users">
          <table>
            <thead>
              <tr>
                <th scope="col">Owner</th>
                <th scope="col">State</th>
                <th scope="col">Turns</th>
                <th scope="col">History</th>
                <th scope="col">Used</th>
                <th scope="col">Session</th>
              </tr>
            </thead>
            <tbody>
              {value.sessions.map((each) => (
                <tr key={each.session}>
                  <th scope="row" dir="auto">
                    {oneLine(each.user, 60)}
                  </th>
                  <td>{stateOf(each)}</td>
                  <td>{each.turns}</td>
                  <td>{each.historyBytes === undefined ? '–' : sizeWords(each.historyBytes)}</td>
                  <td>{agoWords(each.lastActiveAt, now)}</td>
                  <td>
                    <code>{each.session}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {value?.next !== undefined && <p className="hint">There are more: `fairlead admin sessions list` shows all.</p>}
    </section>
  );
}

function stateOf({ pending, running, queued }: SessionSize): string {
  if (pending > 0) return 'waits for its user';
  if (running) return queued > 0 ? `runs, ${queued} in line` : 'runs';
  return 'rests';
}

function Usage({ client }: { client: Fairlead }) {
  const [by, setBy] = useState<(typeof KINDS)[number]>('user');
  const { value, problem } = useAsked<UsagePage>(client, `/v1/admin/usage?by=${by}&limit=100`, LISTS_MS);
  return (
    <section className="box" aria-labelledby="use-of-all">
      <header>
        <h2 id="use-of-all">Used this month</h2>
        <label className="by">
          by{' '}
          <select value={by} onChange={(event) => setBy(event.target.value as (typeof KINDS)[number])}>
            {KINDS.map((kind) => (
              <option key={kind}>{kind}</option>
            ))}
          </select>
        </label>
      </header>
      {problem && <p className="problem">{wordsOf(problem)}</p>}
      {value && <UsageTable page={value} first={by[0]!.toUpperCase() + by.slice(1)} />}
    </section>
  );
}
