/** The store suite: histories that are read in pieces and in pages. */
import type { Test } from 'tap';
import { sizeAfter } from '../../../../workers/agent/log/history-size.js';
import { PIECE_BYTES, readPage, readPiece } from '../../../../workers/agent/session/history-reader.js';
import type { Commit, HistorySize, Store, TranscriptMessage } from '../../../../workers/agent/store/store.js';
import type { HistoryPlace } from '../../../../workers/agent/contract/sessions.js';
import { codeOf, events, newSession, say, until, type Backend } from './store-backend.js';

/** Commits as a session does, with the history's size. */
class Writer {
  readonly said: TranscriptMessage[] = [];
  readonly #store: Store;
  readonly #session: string;
  #seq = 0;
  #size: HistorySize | undefined = { bytes: 0, messages: 0, clears: 0 };

  constructor(store: Store, session: string, options: { sized: boolean } = { sized: true }) {
    this.#store = store;
    this.#session = session;
    if (!options.sized) this.#size = undefined;
  }

  async write(step: Pick<Commit, 'messages' | 'clearHistory'>): Promise<void> {
    const size = this.#size && sizeAfter(this.#size, step);
    this.#size = size;
    await this.#store.commit(this.#session, {
      events: events(++this.#seq),
      ...step,
      ...(size && { row: { history: size } }),
    });
    if (step.clearHistory) this.said.length = 0;
    this.said.push(...(step.messages ?? []));
  }

  async turns(count: number, words = 60): Promise<void> {
    for (let turn = 0; turn < count; turn++) {
      const text = `${this.#seq} ${'wörds '.repeat(words)}`;
      await this.write({ messages: [say(text), say(`answer, "${text}"`, 'assistant')] });
    }
  }
}

async function readAll(
  store: Store,
  session: string,
  between: (piece: number) => Promise<void> = async () => undefined,
): Promise<{ messages: unknown; pieces: number; longest: number }> {
  const parts: Uint8Array[] = [];
  let place: HistoryPlace | undefined;
  do {
    const piece = await readPiece(store, session, place);
    parts.push(piece.bytes);
    place = piece.next;
    if (place) await between(parts.length);
  } while (place);
  const messages: unknown = JSON.parse(`[${Buffer.concat(parts).toString()}]`);
  return { messages, pieces: parts.length, longest: Math.max(...parts.map(({ length }) => length)) };
}

async function readPages(store: Store, session: string, limit: number): Promise<TranscriptMessage[]> {
  const messages: TranscriptMessage[] = [];
  let before: number | undefined;
  do {
    const page = await readPage(store, session, { limit, ...(before === undefined ? {} : { before }) });
    messages.unshift(...(JSON.parse(page.json) as TranscriptMessage[]));
    before = page.next === undefined ? undefined : Number(page.next);
  } while (before !== undefined);
  return messages;
}

export function readerSuite(t: Test, backend: Backend): void {
  t.test('a history is read in bounded pieces, a block larger than a piece too', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    t.strictSame((await readAll(store, session)).messages, []);
    const writer = new Writer(store, session);
    await writer.turns(30);
    await writer.write({ messages: [say('x'.repeat(700_000))] });
    await writer.write({ messages: [] });
    await writer.turns(300);
    const { messages, pieces, longest } = await readAll(store, session);
    t.strictSame(messages, writer.said);
    t.ok(pieces >= 4, `${pieces} pieces`);
    t.ok(longest <= PIECE_BYTES);
  });

  t.test('half a surrogate pair leaves neither in a piece nor in a page', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    const writer = new Writer(store, session);
    await writer.write({ messages: [say('a\ud83d b \\ud83d 👋')] });
    const { bytes } = await readPiece(store, session);
    const page = await readPage(store, session, { limit: 5 });
    for (const json of [`[${Buffer.from(bytes).toString()}]`, page.json]) {
      t.same(JSON.parse(json), [say('a\ufffd b \\ud83d 👋')]);
    }
  });

  t.test('a history that grows and is sealed while it is read stays whole', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    const writer = new Writer(store, session);
    await writer.turns(600);
    const generation = async (): Promise<number> => (await store.readHistoryBlock(session, { from: 0 })).generation;
    const before = await generation();
    const { messages } = await readAll(store, session, async (piece) => {
      if (piece > 2) return;
      await writer.turns(60);
      await until(async () => (await generation()) > before);
    });
    t.strictSame(messages, writer.said);
  });

  t.test('a history that is cleared while it is read is no mixture of both', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    const writer = new Writer(store, session);
    await writer.turns(600);
    const reading = readAll(store, session, async () => {
      await writer.write({ clearHistory: true });
      await writer.turns(600);
    });
    t.equal(await codeOf(reading), 'ERR_UNAVAILABLE');
  });

  t.test('pages go back from the newest message to the first, each bounded in messages and bytes', async (t) => {
    const store = await backend.open(t);
    for (const sized of [true, false]) {
      const { session } = await newSession(store);
      t.strictSame(await readPage(store, session, { limit: 5 }), { json: '[]', first: 0 });
      const writer = new Writer(store, session, { sized });
      await writer.turns(40);
      const { said } = writer;
      const newest = await readPage(store, session, { limit: 3 });
      t.strictSame(newest, { json: JSON.stringify(said.slice(-3)), first: 77, next: '77' });
      const middle = await readPage(store, session, { limit: 3, before: 11 });
      t.strictSame(middle, { json: JSON.stringify(said.slice(8, 11)), first: 8, next: '8' });
      t.strictSame(await readPages(store, session, 7), said);
      const small = await readPage(store, session, { limit: 50, maxBytes: 1 });
      t.strictSame(small, { json: JSON.stringify(said.slice(-1)), first: 79, next: '79' }, 'one message at least');
    }
  });
}
