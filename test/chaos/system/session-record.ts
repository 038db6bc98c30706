/** What one client has seen of its session over all its sockets: each durable event once, in order. Pure. */
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { ServerEvent } from '../../helpers/ws-client.js';

export type Seen = DurableEvent & { seq: number };

export class SessionRecord {
  readonly events: Seen[] = [];
  readonly violations: string[] = [];
  /** Calls that wait for the user's answer. */
  readonly asked = new Set<string>();
  /** Message id → its turn. */
  readonly accepted = new Map<string, number>();
  readonly ended = new Map<number, Seen & { type: 'turn:end' }>();

  get lastSeq(): number {
    return this.events.at(-1)?.seq ?? 0;
  }

  /** False when the event is not durable. */
  take(event: ServerEvent): event is Seen {
    if (!('seq' in event)) return false;
    if (event.type === 'session:ready') {
      this.#checkReady(event);
      return false;
    }
    if (event.seq !== this.lastSeq + 1) {
      this.violations.push(`${event.type} came with seq ${event.seq} after ${this.lastSeq}`);
    }
    this.events.push(event);
    this.#note(event);
    return true;
  }

  #note(event: Seen): void {
    switch (event.type) {
      case 'message:accepted':
        if (event.id !== undefined && this.accepted.has(event.id))
          this.violations.push(`${event.id} was accepted twice`);
        if (event.id !== undefined) this.accepted.set(event.id, event.turn);
        return;
      case 'tool:approval_required':
        this.asked.add(event.callId);
        return;
      case 'tool:approved':
      case 'tool:denied':
        this.asked.delete(event.callId);
        return;
      case 'turn:end':
        if (this.ended.has(event.turn)) this.violations.push(`turn ${event.turn} ended twice`);
        this.ended.set(event.turn, event);
        if (this.asked.size > 0) this.violations.push(`turn ${event.turn} ended with ${[...this.asked].join()} asked`);
        return;
      default:
    }
  }

  /** `pending` is judged only when no replay follows: then it must name what was known to be pending. */
  #checkReady({ reset, seq, pending }: ServerEvent & { type: 'session:ready' }): void {
    if (reset) this.violations.push('the log did not reach back');
    if (seq < this.lastSeq) this.violations.push(`the session is at ${seq}, and ${this.lastSeq} was seen`);
    if (seq !== this.lastSeq) return;
    const open = pending.flatMap((each) => (each.kind === 'approval' ? [each.callId] : []));
    const lost = [...this.asked].filter((callId) => !open.includes(callId));
    if (lost.length > 0) this.violations.push(`approvals were lost: ${lost.join()}`);
  }
}
