/** Messages about who may ask the model: an agent thread asks the main thread while something is short. Types only. */
import type { RateLimit } from '../../../src/shared/rate-limits.js';

/** One request to the model that waits for its turn. */
export interface ModelCallAsk {
  thread: number;
  /** The thread's own. */
  id: number;
  user: string;
  model: string;
  /** The API has refused it for its rate: it keeps its place before the other requests of its user. */
  again: boolean;
}

/** It waits no longer, whether or not it was let begin meanwhile. */
export interface ModelCallLeft {
  thread: number;
  id: number;
  model: string;
}

/** A request is over. Told only while requests ask the main thread. */
export interface ModelCallEnded {
  thread: number;
  model: string;
  /** The main thread let it begin. */
  granted: boolean;
  /** Absent: it had no answer. */
  tokens?: { input: number; output: number };
}

/** The API refused a request for its rate. */
export interface ModelCallRefused {
  model: string;
  /** As the API says; absent when it does not. */
  retryAfterMs?: number;
}

/** An answer has begun. Told only while requests ask the main thread, or when little remains. */
export interface ModelCallAnswered {
  model: string;
  limits: RateLimit[];
}

/** `model_rate`: the API takes no more now. `fairness`: as many requests as may run at once run, and others come first. */
export interface ModelCallWait {
  reason: 'model_rate' | 'fairness';
  /** An estimate; absent where there is none. */
  retryAfterMs?: number;
}

/** What has become of requests of one thread, by their ids. */
export interface ModelCallNews {
  granted: number[];
  waits: ({ id: number } & ModelCallWait)[];
  /** Too many wait. */
  full: number[];
}
