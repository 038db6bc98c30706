/** How large a session's history is, and what is said when it is full. Pure; agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import type { HistorySize, SessionRow, TranscriptMessage } from '../store/store.js';

/**
 * About the bytes of the value's JSON, without escapes: measured on each step, where making the JSON a second time would cost
 * as much as the step.
 */
export function jsonBytes(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value) + 2;
  if (typeof value !== 'object' || value === null) return String(value).length;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + jsonBytes(item) + 1, 2);
  let bytes = 2;
  for (const [key, item] of Object.entries(value)) bytes += key.length + 4 + jsonBytes(item);
  return bytes;
}

export function sizeOf(messages: readonly TranscriptMessage[]): HistorySize {
  return {
    bytes: messages.reduce((sum, message) => sum + jsonBytes(message), 0),
    messages: messages.length,
    clears: 0,
  };
}

/** The size after a step. `before` undefined: unknown, for a history from before sizes were kept. */
export function sizeAfter(
  before: HistorySize | undefined,
  step: { messages?: readonly TranscriptMessage[]; clearHistory?: boolean },
): HistorySize | undefined {
  const base = step.clearHistory ? { bytes: 0, messages: 0, clears: (before?.clears ?? 0) + 1 } : before;
  if (!base || !step.messages) return base;
  const added = sizeOf(step.messages);
  return { ...base, bytes: base.bytes + added.bytes, messages: base.messages + added.messages };
}

export function historyFull(maxBytes: number): FairleadError {
  return new FairleadError(
    'ERR_HISTORY_FULL',
    `the history of this session has reached its limit of ${maxBytes} bytes: reset it, or start a new session`,
  );
}

/** ERR_HISTORY_FULL where a message of so many bytes has no room. */
export function refuseWhenFull({ history }: Pick<SessionRow, 'history'>, bytes: number, maxBytes: number): void {
  if ((history?.bytes ?? 0) + bytes > maxBytes) throw historyFull(maxBytes);
}
