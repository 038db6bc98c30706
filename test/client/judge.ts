/** What a client has seen, beside what the log holds. Runs in tests. */
import type { SessionEvent } from '../../src/client/session-event.js';
import type { DurableEvent } from '../../src/shared/protocol.js';
import { connect, type ServerEvent } from '../helpers/ws-client.js';

export type Numbered = DurableEvent & { seq: number };

export interface Seen {
  /** What was said. */
  texts: readonly string[];
  /** What `send` has told, by message. */
  turns: readonly (number | undefined)[];
  events: readonly SessionEvent[];
}

export const durable = (events: readonly (SessionEvent | ServerEvent)[]): Numbered[] =>
  events.filter((event): event is Numbered => 'seq' in event && event.type !== 'session:ready');

/** All events of the session so far. */
export async function readLog(wsUrl: string, session: string, token?: string): Promise<Numbered[]> {
  const client = await connect(wsUrl, { session, after: 0, ...(token !== undefined && { token }) });
  try {
    const { seq } = await client.ready;
    if (seq > 0) await client.waitFor((event) => 'seq' in event && event.type !== 'session:ready' && event.seq === seq);
    return durable(client.events);
  } finally {
    await client.close();
  }
}

/** In words; nothing when each message ran once and each event came once, in order and whole. */
export function judge({ texts, turns, events }: Seen, truth: readonly Numbered[]): string[] {
  const problems: string[] = [];
  const seen = durable(events);
  if (JSON.stringify(seen) !== JSON.stringify(truth)) {
    problems.push(`it saw ${seen.map(({ seq }) => seq).join()}, and the log has ${truth.map(({ seq }) => seq).join()}`);
  }
  const accepted = truth.filter(({ type }) => type === 'message:accepted').length;
  if (accepted !== texts.length) problems.push(`${texts.length} messages were accepted ${accepted} times`);
  const told = turns.filter((turn) => turn !== undefined); // of an earlier connection's acceptance the turn is not told
  if (new Set(told).size !== told.length) problems.push(`the messages were told to be the turns ${turns.join()}`);
  const streamed = new Map<string, string>();
  for (const event of events) {
    if (event.type !== 'text:delta') continue;
    const key = `${event.turn}/${event.block}`;
    const before = streamed.get(key) ?? '';
    if (event.offset !== before.length) problems.push(`block ${key} went on at ${event.offset}, not ${before.length}`);
    streamed.set(key, before + event.text);
  }
  for (const event of truth) {
    if (event.type !== 'text') continue;
    const key = `${event.turn}/${event.block}`;
    if (streamed.get(key) !== event.text) problems.push(`block ${key} was streamed as ${streamed.get(key)}`);
  }
  return problems;
}
