/** What the ways of keeping a transcript have in common. Shapes. */
import type { TranscriptMessage } from '../../workers/agent/store/store.js';
import type { Turn } from './transcript.js';

export interface Way {
  name: string;
  /** It writes all of the transcript at each turn: what is long is measured less often. */
  rewrites: boolean;
  /** Makes the session with these turns. */
  prepare(session: string, turns: readonly Turn[]): Promise<void>;
  append(session: string, turn: Turn): Promise<void>;
  /** Ends what an append leaves to be done later. Resolves with whether there was any. */
  settle(): Promise<boolean>;
  load(session: string): Promise<TranscriptMessage[]>;
  /** Which keys are the session's, as a pattern. */
  keys(session: string): string;
}
