/** Gathers a turn's events into the answer of a plain HTTP request. Pure. Main thread. */
import type { OutFrame } from '../../workers/agent/contract/sessions.js';
import type { ContentBlock, DurableEvent, Pending, Usage, WireError } from '../shared/protocol.js';

/** A finished turn as a plain HTTP client gets it. */
export interface FinishedTurn {
  turn: number;
  text: string;
  tools: {
    callId: string;
    name: string;
    server: string;
    ok: boolean;
    content: ContentBlock[];
    structuredContent?: Record<string, unknown>;
  }[];
  usage: Usage;
  stopReason: string;
  model: string;
}

type NumberedEvent = DurableEvent & { seq: number };

/** Events that ask the user or settle a question, in any turn. */
const QUESTIONS = typesOf(
  'tool:approval_required',
  'tool:approved',
  'tool:denied',
  'elicitation:request',
  'elicitation:resolved',
  'turn:end',
);
/** Events whose fields are in the answer. */
const ANSWER = typesOf('text', 'tool:start', 'tool:result', 'turn:end');

export type HttpOutcome =
  { ok: true; finished: FinishedTurn } | { ok: false; turn: number; error: WireError | undefined };

export class TurnResult {
  #text = '';
  readonly #tools = new Map<string, FinishedTurn['tools'][number]>();
  readonly #pending = new Map<string, Pending>();
  #outcome: HttpOutcome | undefined;

  constructor(pending: readonly Pending[]) {
    for (const item of pending) this.#pending.set(keyOf(item), item);
  }

  /** What the session waits for the user to answer, in this turn or in an earlier one. */
  get pending(): Pending[] {
    return [...this.#pending.values()];
  }

  get outcome(): HttpOutcome | undefined {
    return this.#outcome;
  }

  /** Takes every durable event of the session, in order; `mine`: it is of this turn. Parses only those whose fields it needs. */
  take({ type, json }: OutFrame, mine: boolean): void {
    if (!QUESTIONS.has(type) && !(mine && ANSWER.has(type))) return;
    const event = JSON.parse(json) as NumberedEvent;
    this.#trackPending(event);
    if (mine) this.#gather(event);
  }

  #trackPending({ seq: _seq, ...event }: NumberedEvent): void {
    switch (event.type) {
      case 'tool:approval_required': {
        const { type: _type, ...fields } = event;
        this.#pending.set(event.callId, { kind: 'approval', ...fields });
        return;
      }
      case 'elicitation:request': {
        const { type: _type, ...fields } = event;
        this.#pending.set(event.requestId, { kind: 'elicitation', ...fields });
        return;
      }
      case 'tool:approved':
      case 'tool:denied':
        this.#pending.delete(event.callId);
        return;
      case 'elicitation:resolved':
        this.#pending.delete(event.requestId);
        return;
      case 'turn:end':
        // Only one turn runs at a time, and its questions end with it.
        this.#pending.clear();
        return;
      default:
    }
  }

  #gather(event: NumberedEvent): void {
    switch (event.type) {
      case 'text':
        this.#text += event.text;
        return;
      case 'tool:start': {
        const { callId, name, server } = event;
        this.#tools.set(callId, { callId, name, server, ok: false, content: [] });
        return;
      }
      case 'tool:result': {
        const tool = this.#tools.get(event.callId);
        const { ok, content, structuredContent } = event;
        if (tool) Object.assign(tool, { ok, content, ...(structuredContent ? { structuredContent } : {}) });
        return;
      }
      case 'turn:end': {
        const { turn, stopReason, usage, model } = event;
        this.#outcome =
          stopReason === 'error'
            ? { ok: false, turn, error: event.error }
            : {
                ok: true,
                finished: { turn, text: this.#text, tools: [...this.#tools.values()], usage, stopReason, model },
              };
        return;
      }
      default:
    }
  }
}

function typesOf(...types: DurableEvent['type'][]): ReadonlySet<string> {
  return new Set(types);
}

function keyOf(item: Pending): string {
  return item.kind === 'approval' ? item.callId : item.requestId;
}
