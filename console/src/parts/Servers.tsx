/** The MCP servers: how each does, its tools, and the log-in that it wants. */
import type { Fairlead } from 'fairlead/client';
import { useState } from 'react';
import { useAsked } from '../live/asked.js';
import { oneLine, safeLink, visible } from '../model/plain.js';
import { durationWords } from '../model/words.js';
import { PageFrame } from './PageFrame.js';
import { wordsOf } from './words-of.js';

const REFRESH_MS = 10_000;

interface Server {
  name: string;
  kind: 'image' | 'command' | 'url';
  state: 'healthy' | 'degraded' | 'reconnecting' | 'down' | 'needs_login';
  latencyMs?: number;
  lastError?: string;
  since?: number;
  tools: { name: string; title?: string; description: string }[];
  leftOut?: string[];
}

const STATES: Record<Server['state'], string> = {
  healthy: 'works',
  degraded: 'fails at times',
  reconnecting: 'is away for a moment',
  down: 'is down',
  needs_login: 'wants you to log in',
};

const KINDS: Record<Server['kind'], string> = {
  image: 'in the sandbox of each conversation',
  command: 'a program on the server’s machine',
  url: 'over the network',
};

export function Servers({ client, onBack }: { client: Fairlead; onBack: () => void }) {
  const { value, problem, refresh } = useAsked<{ servers: Server[] }>(client, '/v1/mcp', REFRESH_MS);
  return (
    <PageFrame title="Servers" onBack={onBack}>
      {problem && (
        <p className="problem" role="status">
          The list may be old: {wordsOf(problem)}
        </p>
      )}
      {!value && !problem && <p className="hint">Asks how the servers do …</p>}
      {value?.servers.length === 0 && <p className="hint">No MCP server is configured for you.</p>}
      {value?.servers.map((server) => (
        <ServerCard key={server.name} server={server} client={client} onChanged={refresh} />
      ))}
    </PageFrame>
  );
}

interface ServerCardProps {
  server: Server;
  client: Fairlead;
  onChanged: () => Promise<void>;
}

function ServerCard({ server, client, onChanged }: ServerCardProps) {
  const { name, kind, state, latencyMs: lastMs, lastError, since, tools, leftOut = [] } = server;
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState('');
  const [problem, setProblem] = useState('');
  /** Where the log-in begins. */
  const [login, setLogin] = useState<string>();
  const shown = oneLine(name, 60);
  const path = `/v1/mcp/${encodeURIComponent(name)}`;

  async function act(work: () => Promise<string>): Promise<void> {
    setBusy(true);
    setProblem('');
    setSaid('');
    try {
      setSaid(await work());
    } catch (error) {
      setProblem(wordsOf(error));
    }
    setBusy(false);
    await onChanged();
  }

  return (
    <section className="box" aria-label={shown}>
      <header>
        <h2>{shown}</h2>
        <span className={`state ${state}`}>
          {STATES[state]}
          {lastMs !== undefined && ` · ${durationWords(lastMs)}`}
        </span>
      </header>
      <p className="hint">
        {KINDS[kind]}
        {since !== undefined && state !== 'healthy' && ` · since ${new Date(since).toLocaleString()}`}
      </p>
      {lastError !== undefined && <p className="problem">{visible(lastError)}</p>}
      {leftOut.map((why) => (
        <p key={why} className="note warning">
          {visible(why)}
        </p>
      ))}
      <div className="acts">
        {kind !== 'image' && (
          <button
            className="button small"
            type="button"
            disabled={busy}
            onClick={() =>
              void act(async () => {
                const { latencyMs } = await client.request<{ latencyMs: number }>('POST', `${path}/test`, {});
                return `Answered in ${durationWords(latencyMs)}.`;
              })
            }
          >
            Test
          </button>
        )}
        {kind === 'url' && (
          <>
            <button
              className={state === 'needs_login' ? 'button small primary' : 'button small'}
              type="button"
              disabled={busy}
              onClick={() =>
                void act(async () => {
                  const { url } = await client.request<{ url: string }>('POST', `${path}/login`, {});
                  setLogin(safeLink(url));
                  return 'Open the address below: it is good for ten minutes.';
                })
              }
            >
              Log in
            </button>
            {state !== 'needs_login' && (
              <button
                className="button small"
                type="button"
                disabled={busy}
                onClick={() =>
                  void act(async () => {
                    const { revoked } = await client.request<{ revoked: boolean }>('DELETE', `${path}/login`);
                    setLogin(undefined);
                    return revoked ? 'The login is forgotten here and there.' : 'The login is forgotten here.';
                  })
                }
              >
                Log out
              </button>
            )}
          </>
        )}
      </div>
      <p className="hint" role="status">
        {said}
      </p>
      {login !== undefined && (
        <p>
          <a href={login} target="_blank" rel="noopener noreferrer">
            {visible(login)}
          </a>
        </p>
      )}
      <p className="problem" role="alert">
        {problem}
      </p>
      <details>
        <summary>
          {tools.length} {tools.length === 1 ? 'tool' : 'tools'}
        </summary>
        <dl className="tools">
          {tools.map((tool) => (
            <div key={tool.name}>
              <dt>
                <code>{oneLine(tool.name, 100)}</code>
              </dt>
              <dd dir="auto">{oneLine(tool.description, 500)}</dd>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}
