/** What `npm run fuzz` runs. Types only. */

export interface Target {
  name: string;
  /** Tries a batch of cases; returns what was wrong, as sentences. */
  batch(): Promise<BatchResult> | BatchResult;
}

export interface BatchResult {
  cases: number;
  violations: string[];
}

export interface TargetReport {
  name: string;
  cases: number;
  seconds: number;
  violations: string[];
}

export interface FuzzReport {
  targets: TargetReport[];
  /** Agent and docker threads that ended. */
  threadsLost: number;
  /** Resident memory of the server in MB: when it had warmed up, and at the end. */
  memory: { warmMb: number; endMb: number };
  violations: string[];
}
