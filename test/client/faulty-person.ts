/** A person who talks through a faulty network, and what their client has seen. All that they do follows from the seed. Runs in tests. */
import { Fairlead } from '../../src/client/node.js';
import type { Session } from '../../src/client/session.js';
import type { SessionEvent } from '../../src/client/session-event.js';
import { pick, randomFrom } from '../chaos/random.js';
import { FAULT_KINDS, FaultyProxy, type Fault, type FaultKind } from './faulty-proxy.js';

/** Seconds without an event. They are counted one by one, since a busy machine may stop a whole process for minutes. */
const PATIENCE_S = 120;
/** All kinds of faults but the kill come first in equally many seeds. A kill hits every person, so only one seed in so many has one. */
const KILL_EVERY = 16;
const OTHERS = FAULT_KINDS.filter((kind) => kind !== 'kill');
/** Bytes until a fault: of the upgrade and a few frames, and of the answer to it and some events. */
const MOST_BYTES = { up: 700, down: 3_000 };

export interface Place {
  port: number;
  kill: () => void;
}

export interface Talk {
  seed: number;
  session: string;
  texts: string[];
  /** What `send` has told, by message. */
  turns: (number | undefined)[];
  events: SessionEvent[];
  fired: Fault[];
}

export function planOf(seed: number): Fault[] {
  const random = randomFrom(seed);
  const first: FaultKind = seed % KILL_EVERY === 0 ? 'kill' : OTHERS[seed % OTHERS.length]!;
  const count = 1 + Math.floor(random() * 3);
  return Array.from({ length: count }, (_, index) => {
    const kind = index === 0 ? first : (pick(OTHERS, random()) ?? first);
    const direction = random() < 0.4 ? 'up' : 'down';
    return { kind, direction, at: Math.floor(random() * MOST_BYTES[direction]), ms: 50 + Math.floor(random() * 400) };
  });
}

/** Says a few things, answers what is asked, and waits until each has its answer. */
export async function talk(seed: number, { port, kill }: Place): Promise<Talk> {
  const proxy = new FaultyProxy({ host: `127.1.${seed >> 8}.${seed & 255}`, port, faults: planOf(seed), kill });
  await proxy.listen();
  const random = randomFrom(seed + 1_000_000);
  const session = new Fairlead({ url: proxy.url }).open({
    backoffMs: (failures) => 20 + random() * 100 * Math.min(failures, 10),
    readyMs: 5_000,
    silenceMs: 1_000,
    answerMs: 3_000,
    maxResends: 100,
  });
  const events: SessionEvent[] = [];
  try {
    const ended = watch(session, events, random);
    const texts = Array.from({ length: 2 + Math.floor(random() * 3) }, (_, index) =>
      random() < 0.5 ? `list all files in /workspace and read ${seed}-${index}.txt` : `hello ${seed}-${index}`,
    );
    const turns: (number | undefined)[] = [];
    if (random() < 0.5)
      for (const { turn } of await Promise.all(texts.map((text) => session.send(text)))) turns.push(turn);
    else for (const text of texts) turns.push((await session.send(text)).turn);
    await ended(texts.length);
    return { seed, session: session.id ?? '', texts, turns, events, fired: proxy.fired };
  } catch (error) {
    const last = [...events.filter(({ type }) => type === 'error'), ...events.slice(-30)].map((event) =>
      JSON.stringify(event).slice(0, 200),
    );
    throw new Error(`seed ${seed} is ${session.state} after\n${last.join('\n')}`, { cause: error });
  } finally {
    await session.close();
    await proxy.close();
  }
}

/** Answers every call once: the client sends the answer until it has arrived. Returns what waits for the ends of so many turns. */
function watch(session: Session, events: SessionEvent[], random: () => number): (turns: number) => Promise<void> {
  const answered = new Set<string>();
  let look: (() => void) | undefined;
  session.on((event) => {
    events.push(event);
    for (const item of session.pending) {
      if (item.kind !== 'approval' || answered.has(item.callId)) continue;
      answered.add(item.callId);
      // A refusal comes as an event too.
      void (random() < 0.2 ? session.approve(item.callId) : session.deny(item.callId, 'not now'));
    }
    look?.();
  });
  return (turns) =>
    new Promise((resolve, reject) => {
      let quiet = 0;
      const timer = setInterval(() => {
        if (++quiet < PATIENCE_S) return;
        clearInterval(timer);
        reject(new Error(`${turns} turns did not end, ${session.pending.length} items wait`));
      }, 1_000);
      look = () => {
        quiet = 0;
        const closed = events.find((event) => event.type === 'connection:closed');
        const done = events.filter(({ type }) => type === 'turn:end').length >= turns;
        if (!closed && !done) return;
        clearInterval(timer);
        if (done) resolve();
        else reject(closed?.error ?? new Error('closed'));
      };
      look();
    });
}
