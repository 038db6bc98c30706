/** Messages about an agent thread itself: its start, its health, its stop. Types only. */
import type { Config } from '../../../src/shared/config.js';

export interface AgentWorkerData {
  config: Config;
  /** This server's name, the same after a restart: the owner of the sessions that it writes. */
  instance: string;
  index: number;
  /** Number of agent threads; a session belongs to the thread `hash(id) % threads`. */
  threads: number;
  /** How many connections `url` servers have from all threads, see shared-slots.ts. Absent: each thread counts its own. */
  slots?: { memory: SharedArrayBuffer; places: SlotPlaces };
  /** The parts that the boot has chosen. */
  store: 'redis' | 'lmdb';
  model: 'anthropic' | 'demo';
  /** See ModelSlots. */
  modelSlots: SharedArrayBuffer;
}

/** The place of each `url` server in the memory of the slots. */
export type SlotPlaces = Readonly<Record<string, number>>;

/** What counts from now on; a higher number is newer. */
export interface SetConfigRequest {
  generation: number;
  config: Config;
  /** Absent: there are no slots that threads share. */
  places?: SlotPlaces;
}

export type Nothing = Record<string, never>;

export interface ResumeResult {
  /** How many sessions with an open turn the thread has found. */
  sessions: number;
}

export interface DrainRequest {
  /** How long running turns may go on before they are interrupted. */
  graceMs: number;
}

/** What runs in a server that drains. */
export interface WorkLeft {
  /** Turns that work; those that wait for their user are in the store. */
  turns: number;
  /** Calls of MCP clients. */
  calls: number;
}

export interface HibernateAllResult {
  hibernated: number;
  /** Sandboxes whose workspace could not be saved; they stay. */
  failed: number;
}

export interface CollectMetricsResult {
  /** prom-client metrics of this thread as JSON. */
  metrics: object[];
}

/** The store or the model is unusable. The thread ends after it. */
export interface StartFailed {
  code: string;
  message: string;
}

export interface ThreadHealth {
  thread: number;
  /** The store answers, and takes writes. */
  store: boolean;
  /** Why it does not. */
  why?: string;
}

/** Sent when the model's API goes away, and when it is back. */
export interface ModelHealthReport {
  thread: number;
  /** Absent: it answers. */
  why?: string | undefined;
}

/** Entries of the audit log, as JSON, in their order. */
export interface AuditEntries {
  entries: string[];
}
