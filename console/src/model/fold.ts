/** Folds a session's events into what the page shows. The same events give the same view, however they came. Pure. */
import type { DurableEvent, Pending, ServerEvent, StreamingEvent } from '../../../src/shared/protocol.js';
import type { Conversation, Item, QuestionItem, TextItem, ToolItem, ToolOutput, UserItem } from './items.js';
import { itemsOfTranscript } from './transcript.js';

type Durable = DurableEvent & { seq: number };
type Ready = Extract<ServerEvent, { type: 'session:ready' }>;

/** So much of what a running tool has printed is kept; its result has the whole. */
const OUTPUT_CHARACTERS = 65_536;

export const EMPTY: Conversation = {
  items: [],
  line: [],
  seq: 0,
  filesAt: 0,
  turn: undefined,
  waiting: undefined,
  model: '',
  earlier: undefined,
  budgets: [],
  told: undefined,
};

/** Events that came in one go: the list is copied once for all of them. */
export function fold(before: Conversation, events: readonly ServerEvent[]): Conversation {
  const draft = new Draft(before);
  for (const event of events) draft.apply(event);
  return draft.done();
}

/** A message of this page, before the server has said anything. */
export function addOwn(before: Conversation, id: string, text: string, files: readonly string[] = []): Conversation {
  const own: UserItem = {
    kind: 'user',
    key: `m:${id}`,
    id,
    text,
    ...(files.length > 0 && { files }),
    state: 'sending',
  };
  return { ...before, line: [...before.line, own] };
}

export function failOwn(before: Conversation, id: string, error: UserItem['error']): Conversation {
  const line = before.line.map((each): UserItem =>
    each.id === id && each.state === 'sending' ? { ...each, state: 'failed', ...(error && { error }) } : each,
  );
  return { ...before, line };
}

export function dropOwn(before: Conversation, id: string): Conversation {
  return { ...before, line: before.line.filter((each) => each.id !== id) };
}

/** A page of history that comes before what is shown. */
export function addEarlier(before: Conversation, items: readonly Item[], earlier: string | undefined): Conversation {
  return { ...before, items: [...items, ...before.items], earlier };
}

/** Calls and questions that wait for the user, oldest first. */
export function asksOf({ items }: Conversation): (ToolItem | QuestionItem)[] {
  return items.filter(
    (item): item is ToolItem | QuestionItem =>
      (item.kind === 'tool' && item.state === 'asked') || (item.kind === 'question' && item.answer === undefined),
  );
}

class Draft {
  #state: Conversation;
  #items: Item[];
  /** Key → place, for what may still change. */
  readonly #places = new Map<string, number>();

  constructor(before: Conversation) {
    this.#state = before;
    this.#items = [...before.items];
    for (const [place, { key }] of this.#items.entries()) this.#places.set(key, place);
  }

  done(): Conversation {
    return { ...this.#state, items: this.#items };
  }

  apply(event: ServerEvent): void {
    if (event.type === 'session:ready') return this.#ready(event);
    if ('seq' in event) {
      if (event.seq <= this.#state.seq) return;
      this.#state = { ...this.#state, seq: event.seq };
      this.#durable(event);
      return this.#askTold();
    }
    switch (event.type) {
      case 'text:delta':
      case 'thinking:delta':
      case 'tool:output':
        return this.#streaming(event);
      case 'turn:waiting': {
        const { reason, retryAfterMs } = event;
        const waiting = { reason, ...(retryAfterMs !== undefined && { retryAfterMs }) };
        this.#state = { ...this.#state, waiting };
        return;
      }
      default:
    }
  }

  #ready({ seq, model, pending, reset, transcript, transcriptNext }: Ready): void {
    this.#state = { ...this.#state, model, waiting: undefined };
    if (reset) {
      this.#clear(itemsOfTranscript(transcript ?? [], `s${seq}`));
      this.#state = { ...this.#state, seq, turn: undefined, earlier: transcriptNext };
    }
    this.#state = { ...this.#state, told: { seq, pending } };
    this.#askTold();
  }

  /** Once the replay is over: what no event has asked, since the log no longer reaches back to it. */
  #askTold(): void {
    const { told, seq } = this.#state;
    if (!told || seq < told.seq) return;
    this.#state = { ...this.#state, told: undefined };
    for (const each of told.pending) {
      const key = each.kind === 'approval' ? callKey(each.callId) : questionKey(each.requestId);
      const known = this.#at(key);
      const isOpen = known?.kind === 'tool' ? known.state === 'asked' : known?.kind === 'question' && !known.answer;
      if (!isOpen) this.#ask(each);
    }
  }

  #durable(event: Durable): void {
    if (event.type !== 'message:accepted') this.#state = { ...this.#state, waiting: undefined };
    switch (event.type) {
      case 'message:accepted':
        return this.#accepted(event);
      case 'turn:start':
        return this.#start(event.turn);
      case 'text': {
        const key = textKey(event);
        return this.#put({ kind: 'text', key, turn: event.turn, text: event.text, done: true });
      }
      case 'tool:approval_required':
        return this.#ask({ kind: 'approval', ...event });
      case 'tool:approved': {
        const { callId, by, args } = event;
        return this.#change(callKey(callId), { state: 'approved', by, ...(args && { args, edited: true }) });
      }
      case 'tool:denied': {
        const { callId, by, reason } = event;
        return this.#change(callKey(callId), { state: 'denied', by, ...(reason !== undefined && { reason }) });
      }
      case 'tool:start': {
        const { callId, name, server, args } = event;
        return this.#putCall(callId, { name, server, args, state: 'running' });
      }
      case 'tool:result': {
        const { callId, ok, content, ms } = event;
        return this.#change(callKey(callId), { state: ok ? 'ok' : 'failed', content, ms });
      }
      case 'elicitation:request': {
        const { type: _type, seq: _seq, ...asked } = event;
        return this.#ask({ kind: 'elicitation', ...asked });
      }
      case 'elicitation:resolved':
        return this.#change(questionKey(event.requestId), { answer: event.action });
      case 'turn:end': {
        const { type: _type, seq, budgets, ...end } = event;
        this.#closeTurn(event.turn);
        if (budgets) this.#state = { ...this.#state, budgets };
        return this.#put({ kind: 'end', key: `e:${seq}`, ...end });
      }
      case 'notice':
        return this.#put({ kind: 'notice', key: `n:${event.seq}`, tone: 'info', text: event.message });
      case 'files:changed':
        this.#state = { ...this.#state, filesAt: event.seq };
        return undefined;
      case 'sandbox:lost':
        return this.#put({ kind: 'notice', key: `n:${event.seq}`, tone: 'warning', text: lossWords(event) });
      case 'history:cleared':
        this.#clear([]);
        this.#state = { ...this.#state, turn: undefined, earlier: undefined };
        return this.#put({
          kind: 'notice',
          key: `n:${event.seq}`,
          tone: 'info',
          text: 'The conversation was forgotten. Files in the workspace are still there.',
        });
      default:
    }
  }

  #streaming(event: StreamingEvent): void {
    if (event.type === 'tool:output') return this.#print(event);
    const { turn, offset, text: piece } = event;
    this.#state = { ...this.#state, waiting: undefined };
    const kind = event.type === 'text:delta' ? 'text' : 'thinking';
    const key = textKey({ ...event, kind });
    const known = this.#at(key) as TextItem | undefined;
    if (known?.done) return;
    const text = known?.text ?? '';
    // A gap is filled by the block's `text`; thinking has none, and goes on behind it.
    if (offset > text.length && kind === 'text') return;
    if (offset + piece.length <= text.length) return;
    this.#put({ kind, key, turn, text: text.slice(0, offset) + piece, done: false });
  }

  #print({ callId, stream, offset, text: piece }: Extract<StreamingEvent, { type: 'tool:output' }>): void {
    const call = this.#at(callKey(callId));
    if (call?.kind !== 'tool' || call.state !== 'running') return;
    const known: ToolOutput = call.output[stream] ?? { text: '', length: 0 };
    const fresh = piece.slice(Math.max(0, known.length - offset));
    if (fresh === '') return;
    const text = (known.text + fresh).slice(-OUTPUT_CHARACTERS);
    this.#put({ ...call, output: { ...call.output, [stream]: { text, length: offset + piece.length } } });
  }

  #accepted({ id, turn, said, seq }: Extract<Durable, { type: 'message:accepted' }>): void {
    const { line } = this.#state;
    const own = id === undefined ? undefined : line.find((each) => each.id === id);
    const item: UserItem = {
      kind: 'user',
      key: own?.key ?? `u:${seq}`,
      ...(id !== undefined && { id }),
      turn,
      text: own?.text ?? said?.text,
      ...(own === undefined && said?.truncated && { truncated: true }),
      ...(said?.images !== undefined && { images: said.images }),
      ...(said?.files !== undefined && { files: said.files }),
      state: 'stored',
    };
    this.#state = { ...this.#state, line: own ? line.map((each) => (each === own ? item : each)) : [...line, item] };
  }

  /** Its message comes out of the line. */
  #start(turn: number): void {
    const message = this.#state.line.find((each) => each.turn === turn);
    this.#state = { ...this.#state, turn, line: this.#state.line.filter((each) => each !== message) };
    if (message) this.#put(message);
  }

  #ask(asked: Pending): void {
    if (asked.kind === 'elicitation') {
      const { kind: _kind, ...question } = asked;
      return this.#put({ kind: 'question', key: questionKey(asked.requestId), ...question });
    }
    const { callId, name, server, args, tool, position, total, expiresAt } = asked;
    return this.#putCall(callId, {
      name,
      server,
      args,
      state: 'asked',
      position,
      total,
      expiresAt,
      ...(tool && { tool }),
    });
  }

  #putCall(callId: string, change: Pick<ToolItem, 'name' | 'server' | 'args' | 'state'> & Partial<ToolItem>): void {
    const known = this.#at(callKey(callId)) as ToolItem | undefined;
    this.#put({ kind: 'tool', key: callKey(callId), callId, output: {}, ...known, ...change });
  }

  #change(key: string, change: Partial<ToolItem> | Partial<QuestionItem>): void {
    const known = this.#at(key);
    if (known) this.#put({ ...known, ...change } as Item);
  }

  /** Removes texts of the turn that never ended with a `text` event: they were cut, and the transcript has none of them. */
  #closeTurn(turn: number): void {
    const isCut = (item: Item): boolean => item.kind === 'text' && item.turn === turn && !item.done;
    const items = this.#items.filter((item) => !isCut(item));
    this.#clear(
      items.map((item) => {
        if (item.kind === 'thinking' && item.turn === turn) return { ...item, done: true };
        return item;
      }),
    );
    const line = this.#state.line.filter((each) => each.turn !== turn);
    this.#state = { ...this.#state, turn: this.#state.turn === turn ? undefined : this.#state.turn, line };
  }

  #at(key: string): Item | undefined {
    const place = this.#places.get(key);
    return place === undefined ? undefined : this.#items[place];
  }

  #put(item: Item): void {
    const place = this.#places.get(item.key);
    if (place !== undefined) this.#items[place] = item;
    else this.#places.set(item.key, this.#items.push(item) - 1);
  }

  #clear(items: Item[]): void {
    this.#items = items;
    this.#places.clear();
    for (const [place, { key }] of items.entries()) this.#places.set(key, place);
  }
}

const callKey = (callId: string): string => `c:${callId}`;
const questionKey = (requestId: string): string => `q:${requestId}`;

function textKey({ turn, block, kind = 'text' }: { turn: number; block: number; kind?: string }): string {
  return `${kind}:${turn}.${block}`;
}

function lossWords({ server, reason, since, missing }: Extract<DurableEvent, { type: 'sandbox:lost' }>): string {
  const back =
    since === undefined
      ? 'Nothing of its files comes back.'
      : `Its files are as they were at ${new Date(since).toLocaleString()}.`;
  const without = missing && missing.length > 0 ? ` Not saved: ${missing.join(', ')}.` : '';
  return `The sandbox of ${server} is gone (${reason}). ${back}${without}`;
}
