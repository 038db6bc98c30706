/** Judges a run by what clients have seen, what the store holds and what the workspaces say. Pure. */
import type { TranscriptMessage } from '../../../workers/agent/store/store.js';
import { validateMessages } from '../../helpers/messages-rules.js';
import type { TurnWish } from '../model-script.js';
import type { Seen } from './session-record.js';

export interface Account {
  name: string;
  events: readonly Seen[];
  wishes: ReadonlyMap<string, TurnWish>;
  accepted: ReadonlyMap<string, number>;
  transcript: readonly TranscriptMessage[];
  /** The workspace's id, then the effects in it, as the last turn's tool found them. */
  workspace: string;
  /** A fault of the run may have cost the session its workspace. */
  mayHaveLost: boolean;
}

export interface Figures {
  messages: number;
  turns: Record<string, number>;
  events: number;
  calls: number;
  approvals: number;
  effects: number;
  interruptedCalls: number;
}

/** Problems in words; empty when nothing was lost, repeated or invented. */
export function judge(account: Account): string[] {
  return [
    ...judgeMessages(account),
    ...judgeTurns(account),
    ...judgeCalls(account),
    ...judgeTranscript(account),
    ...judgeEffects(account),
  ].map((problem) => `${account.name}: ${problem}`);
}

function judgeMessages({ wishes, accepted, transcript }: Account): string[] {
  const said = new Map<string, number>();
  for (const { role, content } of transcript) {
    for (const block of role === 'user' ? content : []) {
      const { text } = block as { text?: unknown };
      if (typeof text !== 'string' || !text.startsWith('{"id":')) continue;
      const { id } = JSON.parse(text) as TurnWish;
      said.set(id, (said.get(id) ?? 0) + 1);
    }
  }
  const problems = [...accepted.keys()].flatMap((id) =>
    said.get(id) === 1 ? [] : [`message ${id} was accepted and stands ${said.get(id) ?? 0} times in the transcript`],
  );
  const unknown = [...said.keys()].filter((id) => !wishes.has(id));
  const silent = [...wishes.keys()].filter((id) => !accepted.has(id));
  return [
    ...problems,
    ...unknown.map((id) => `message ${id} was never said`),
    ...silent.map((id) => `message ${id} was never accepted`),
  ];
}

function judgeTurns({ events, accepted }: Account): string[] {
  const count = (type: 'turn:start' | 'turn:end', turn: number): number =>
    events.filter((event) => event.type === type && event.turn === turn).length;
  const problems = [...accepted.values()].flatMap((turn) => {
    const counts = [count('turn:start', turn), count('turn:end', turn)];
    return counts.join() === '1,1' ? [] : [`turn ${turn} began and ended ${counts.join(' and ')} times`];
  });
  const order = events.filter(({ type }) => type === 'turn:start' || type === 'turn:end').map(({ type }) => type);
  const mixed = order.some((type, index) => type !== (index % 2 === 0 ? 'turn:start' : 'turn:end'));
  return mixed ? [...problems, 'turns ran at the same time'] : problems;
}

/** A call is asked for at most once, decided before it starts, started at most once, and has one result if it started. */
function judgeCalls({ events }: Account): string[] {
  const problems: string[] = [];
  const byCall = new Map<string, Seen['type'][]>();
  for (const event of events) {
    if (!('callId' in event)) continue;
    byCall.set(event.callId, [...(byCall.get(event.callId) ?? []), event.type]);
  }
  for (const [callId, types] of byCall) {
    const steps = types.map((type) => type.replace('tool:', '')).join(' ');
    if (!/^(approval_required )?(approved start result|denied)$/.test(steps)) {
      problems.push(`call ${callId} went ${steps}`);
    }
  }
  return problems;
}

function judgeTranscript({ transcript }: Account): string[] {
  const next = { role: 'user', content: [{ type: 'text', text: 'and now?' }] };
  const body = { model: 'm', max_tokens: 1, messages: [...transcript, next] };
  return validateMessages(body).map((problem) => `the transcript is not valid: ${problem}`);
}

function judgeEffects({ events, workspace, mayHaveLost }: Account): string[] {
  const problems: string[] = [];
  const finished = new Map<string, string>();
  const told = new Set<string>();
  let lastWorkspace = '';
  for (const event of events) {
    // The newest save may be back, without what came after it.
    if (event.type === 'sandbox:lost') for (const effect of finished.keys()) told.add(effect);
    if (event.type !== 'tool:result' || !event.ok) continue;
    const block = event.content.at(-1);
    const [id = '', effect = '', ...more] = (block?.type === 'text' ? block.text : '').split(' ');
    if (effect === '' || more.length > 0) continue;
    if (finished.has(effect)) problems.push(`effect ${effect} was reported twice`);
    finished.set(effect, id);
    lastWorkspace = id;
  }
  const [id = '', ...effects] = workspace.trim().split(/\s+/);
  const twice = effects.filter((effect, index) => effects.indexOf(effect) !== index);
  if (twice.length > 0) problems.push(`effects happened twice: ${twice.join()}`);
  const elsewhere = effects.filter((effect) => finished.has(effect) && finished.get(effect) !== id);
  if (elsewhere.length > 0) problems.push(`effects happened in two workspaces: ${elsewhere.join()}`);
  const lost = [...finished].filter(
    ([effect, where]) => where === id && !effects.includes(effect) && !told.has(effect),
  );
  if (lost.length > 0) problems.push(`effects that had finished are not there: ${lost.map(([name]) => name).join()}`);
  if (lastWorkspace !== '' && lastWorkspace !== id && !mayHaveLost) {
    problems.push(`the workspace ${lastWorkspace} is gone for no reason, in its place is ${id || 'none'}`);
  }
  return problems;
}

export function figuresOf(accounts: readonly Account[]): Figures {
  const events = accounts.flatMap((account) => account.events);
  const count = (test: (event: Seen) => boolean): number => events.filter(test).length;
  const turns: Record<string, number> = {};
  for (const event of events) {
    if (event.type !== 'turn:end') continue;
    const key = event.error ? `error ${event.error.code}` : event.stopReason;
    turns[key] = (turns[key] ?? 0) + 1;
  }
  return {
    messages: count(({ type }) => type === 'message:accepted'),
    turns,
    events: events.length,
    calls: count(({ type }) => type === 'tool:start'),
    approvals: count(({ type }) => type === 'tool:approval_required'),
    effects: count((event) => event.type === 'tool:result' && event.ok),
    interruptedCalls: count(wasInterrupted),
  };
}

function wasInterrupted(event: Seen): boolean {
  return event.type === 'tool:result' && !event.ok && JSON.stringify(event.content).includes('may have run');
}
