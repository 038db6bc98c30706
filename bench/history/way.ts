/** A way of storing a transcript. Types only. */
import type { TranscriptMessage } from '../../workers/agent/store/store.js';
import type { Turn } from './transcript.js';

export interface Way {
  name: string;
  /** Each turn rewrites the whole transcript, so long ones are measured less often. */
  rewrites: boolean;
  /** Stores a session with these turns. */
  prepare(session: string, turns: readonly Turn[]): Promise<void>;
  append(session: string, turn: Turn): Promise<void>;
  /** Finishes an append's background work. Resolves with whether there was any. */
  settle(): Promise<boolean>;
  load(session: string): Promise<TranscriptMessage[]>;
  /** A pattern for the session's keys. */
  keys(session: string): string;
}
