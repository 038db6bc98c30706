/** The person: what they have used and may use, and their tokens. */
import type { Fairlead } from 'fairlead/client';
import { useState } from 'react';
import type { BudgetLeft } from '../../../src/shared/protocol.js';
import { useAsked } from '../live/asked.js';
import { oneLine } from '../model/plain.js';
import { costWords, countWords } from '../model/words.js';
import { PageFrame } from './PageFrame.js';
import { UsageTable, type UsagePage } from './UsageTable.js';
import { wordsOf } from './words-of.js';

interface Me {
  user: string;
  role: string;
  groups: string[];
  credential: string;
  expiresAt?: number;
  limits: Record<string, number>;
}

interface OwnToken {
  id: string;
  note?: string;
  createdAt: number;
  expiresAt?: number;
  lastUsedAt?: number;
  lastUsedFrom?: string;
}

/** What 0 says of each is no limit. */
const LIMITS: [string, (max: number) => string][] = [
  ['maxSessions', (max) => `${max.toLocaleString()} conversations`],
  ['maxTurns', (max) => `${max.toLocaleString()} turns at once`],
  ['maxMessagesPerMinute', (max) => `${max.toLocaleString()} messages a minute`],
  ['maxSandboxes', (max) => `${max.toLocaleString()} sandboxes at once`],
  ['maxSockets', (max) => `${max.toLocaleString()} connections`],
  ['maxWorkspaceBytes', (max) => `${megabytes(max)} of saved workspaces`],
  ['maxHistoryBytes', (max) => `${megabytes(max)} of conversations`],
];

export function You({ client, onBack }: { client: Fairlead; onBack: () => void }) {
  const me = useAsked<Me>(client, '/v1/me');
  const usage = useAsked<UsagePage & { budgets: BudgetLeft[] }>(client, '/v1/usage?by=model');
  const tokens = useAsked<{ tokens: OwnToken[] }>(client, '/v1/tokens?limit=500');
  const problem = me.problem ?? usage.problem ?? tokens.problem;
  return (
    <PageFrame title="You" onBack={onBack}>
      {problem && (
        <p className="problem" role="status">
          Not all of it could be read: {wordsOf(problem)}
        </p>
      )}
      {me.value && <Person me={me.value} />}
      {usage.value && (
        <section className="box" aria-labelledby="your-use">
          <h2 id="your-use">Used this month</h2>
          <UsageTable page={usage.value} first="Model" />
          {usage.value.budgets.map((budget) => (
            <p key={JSON.stringify([budget.of, budget.per, budget.name])}>{budgetWords(budget)}</p>
          ))}
        </section>
      )}
      {me.value && <Limits limits={me.value.limits} />}
      {tokens.value && <Tokens tokens={tokens.value.tokens} me={me.value} client={client} onChanged={tokens.refresh} />}
    </PageFrame>
  );
}

function Person({ me: { user, role, groups, expiresAt } }: { me: Me }) {
  return (
    <section className="box" aria-label="Who you are here">
      <h2 dir="auto">{oneLine(user, 100)}</h2>
      <p className="hint">
        {role}
        {groups.length > 0 && ` · ${groups.map((group) => oneLine(group, 60)).join(', ')}`}
        {expiresAt !== undefined && ` · this login ends ${new Date(expiresAt).toLocaleString()}`}
      </p>
    </section>
  );
}

function Limits({ limits }: { limits: Me['limits'] }) {
  const holding = LIMITS.filter(([name]) => (limits[name] ?? 0) > 0);
  return (
    <section className="box" aria-labelledby="your-limits">
      <h2 id="your-limits">Limits</h2>
      {holding.length === 0 && <p className="hint">None of your own.</p>}
      <ul className="plain-list">
        {holding.map(([name, words]) => (
          <li key={name}>{words(limits[name]!)}</li>
        ))}
      </ul>
    </section>
  );
}

interface TokensProps {
  tokens: OwnToken[];
  me: Me | undefined;
  client: Fairlead;
  onChanged: () => Promise<void>;
}

function Tokens({ tokens, me, client, onChanged }: TokensProps) {
  const [asked, setAsked] = useState<string>();
  const [problem, setProblem] = useState('');

  async function revoke(id: string): Promise<void> {
    try {
      await client.request('DELETE', `/v1/tokens/${encodeURIComponent(id)}`);
      setProblem('');
    } catch (error) {
      setProblem(wordsOf(error));
    }
    setAsked(undefined);
    await onChanged();
  }

  return (
    <section className="box" aria-labelledby="your-tokens">
      <h2 id="your-tokens">Devices and tokens</h2>
      <p className="hint">
        A token that is revoked ends its connections at once, and the log-ins that were made with it.
      </p>
      {tokens.length === 0 && <p className="hint">You have none but those of the configuration.</p>}
      <ul className="rows">
        {tokens.map(({ id, note, createdAt, expiresAt, lastUsedAt, lastUsedFrom }) => (
          <li key={id}>
            <span className="grow">
              <strong dir="auto">{note === undefined ? id : oneLine(note, 80)}</strong>
              {me?.credential === id && ' (this one)'}
              <span className="hint">
                {' '}
                made {new Date(createdAt).toLocaleDateString()}
                {lastUsedAt === undefined
                  ? ' · never used'
                  : ` · used ${new Date(lastUsedAt).toLocaleString()} from ${oneLine(lastUsedFrom ?? '', 60)}`}
                {expiresAt !== undefined && ` · ends ${new Date(expiresAt).toLocaleDateString()}`}
              </span>
            </span>
            {asked === id ? (
              <>
                <button className="button danger small" type="button" onClick={() => void revoke(id)}>
                  Revoke it
                </button>
                <button className="button small" type="button" autoFocus onClick={() => setAsked(undefined)}>
                  Keep it
                </button>
              </>
            ) : (
              <button
                className="button small"
                type="button"
                aria-label={`Revoke ${note === undefined ? id : oneLine(note, 80)}`}
                onClick={() => setAsked(id)}
              >
                Revoke …
              </button>
            )}
          </li>
        ))}
      </ul>
      <p className="problem" role="alert">
        {problem}
      </p>
    </section>
  );
}

const OF: Record<BudgetLeft['of'], string> = {
  user: 'you',
  group: 'the group',
  session: 'a conversation',
  turn: 'a turn',
};

function budgetWords({ of, per, name, tokens, amount, currency, resetAt }: BudgetLeft): string {
  const left = [
    ...(amount === undefined ? [] : [costWords({ amount, currency: currency ?? '' })]),
    ...(tokens === undefined ? [] : [`${countWords(tokens)} tokens`]),
  ].join(' and ');
  const whose = of === 'group' && name !== undefined ? `${OF.group} ${oneLine(name, 60)}` : OF[of];
  const again = resetAt === undefined ? '' : `, until ${new Date(resetAt).toLocaleString()}`;
  return `Left for ${whose} per ${per}: ${left}${again}.`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_048_576).toLocaleString(undefined, { maximumFractionDigits: 1 })} MiB`;
}
