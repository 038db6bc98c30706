/** Approvals and questions that wait for an answer, and the turns that run. Follows the events of one session. */
import type { DurableEvent, Pending, ServerEvent } from '../shared/protocol.js';
import type { KeptFrame } from './outbox.js';

type Ready = Extract<ServerEvent, { type: 'session:ready' }>;

export class OpenItems {
  readonly #pending = new Map<string, Pending>();
  readonly #turns = new Set<number>();
  /** The newest turn that has ended. */
  endedTurn = 0;

  get isRunning(): boolean {
    return this.#turns.size > 0;
  }

  list(): [key: string, Pending][] {
    return [...this.#pending];
  }

  has(key: string): boolean {
    return this.#pending.has(key);
  }

  close(key: string): void {
    this.#pending.delete(key);
  }

  runs(turn: number): void {
    this.#turns.add(turn);
  }

  ready(event: Ready): void {
    this.#pending.clear();
    for (const item of event.pending) this.#open(item);
    if (event.reset === true && isOver(event)) {
      this.endedTurn = Math.max(this.endedTurn, ...this.#turns);
      this.#turns.clear();
    }
  }

  /**
   * Returns the keys of what this event has closed. `isReplay`: it came before `session:ready`, which has told what is open since. The
   * end of an earlier turn closes none of that.
   */
  take(event: DurableEvent, isReplay: boolean): string[] {
    switch (event.type) {
      case 'message:accepted':
      case 'turn:start':
        this.runs(event.turn);
        return [];
      case 'tool:approval_required':
        if (!isReplay) this.#open({ ...event, kind: 'approval' });
        return [];
      case 'elicitation:request':
        if (!isReplay) this.#open({ ...event, kind: 'elicitation' });
        return [];
      case 'tool:approved':
      case 'tool:denied':
        return this.#closed([callKey(event.callId)]);
      case 'elicitation:resolved':
        return this.#closed([questionKey(event.requestId)]);
      case 'turn:end':
        this.#turns.delete(event.turn);
        this.endedTurn = Math.max(this.endedTurn, event.turn);
        // Only one turn runs at a time, so its end closes all that is open.
        return isReplay ? [] : this.#closed([...this.#pending.keys()]);
      default:
        return [];
    }
  }

  #open(item: Pending): void {
    this.#pending.set(item.kind === 'approval' ? callKey(item.callId) : questionKey(item.requestId), item);
    if (item.kind === 'approval') this.runs(item.turn);
  }

  #closed(keys: string[]): string[] {
    for (const key of keys) this.#pending.delete(key);
    return keys;
  }
}

const callKey = (callId: string): string => `call ${callId}`;
const questionKey = (requestId: string): string => `question ${requestId}`;

/** What the frame answers; undefined for frames that answer nothing. */
export function keyOfAnswer(frame: KeptFrame): string | undefined {
  if (frame.type === 'tool:approval') return callKey(frame.callId);
  return frame.type === 'elicitation:reply' ? questionKey(frame.requestId) : undefined;
}

/** True when the transcript ends in an answer without a tool call: then no turn runs. */
function isOver({ transcript }: Ready): boolean {
  const last = transcript?.at(-1);
  return last?.role === 'assistant' && !last.content.some((block) => (block as { type?: string }).type === 'tool_use');
}
