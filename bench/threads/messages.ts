/** What the bench asks of its child processes, and what they answer. Types only. */

/** By the question's name. */
export type Contract = Record<string, { body: unknown; result: unknown }>;

export type Handlers<C extends Contract> = { [K in keyof C]: (body: C[K]['body']) => Promise<C[K]['result']> };

export interface Question {
  id: number;
  name: string;
  body: unknown;
}

export type Answer = { id: number; ok: true; result: unknown } | { id: number; ok: false; message: string };

/** A short answer has a few tokens; a long one some hundred, which is more work for the agent thread and hardly more for the others. */
export type TurnKind = 'short' | 'long';

export interface Saturated {
  /** Turns that ended within `seconds`. */
  turns: number;
  seconds: number;
  /** Including turns before and after, whose processor time is counted as well. */
  allTurns: number;
  firstMs: number[];
  turnMs: number[];
  /** Of the generator's event loop; 1 means saturated. */
  utilisation: number;
}

/** Of the sessions of one agent thread. */
export interface Samples {
  thread: number;
  firstMs: number[];
  turnMs: number[];
  pongMs: number[];
  /** Turns that failed or were refused. */
  failed: number;
}

export interface Pace {
  ms: number;
  /** Turns that begin in this first part do not count. */
  leadInMs: number;
  turnEveryMs: number;
  pingEveryMs: number;
}

/** The server's `url` names the crowd. */
export type PeopleContract = {
  connect: { body: { url: string; people: number; threads: number }; result: null };
  /** Each user sends the next message as soon as the last is answered. */
  saturate: { body: { url: string; kind: TurnKind; ms: number; leadInMs: number }; result: Saturated };
  /** Each user sends messages and pings at a fixed pace. */
  pace: { body: { url: string } & Pace; result: { samples: Samples[]; utilisation: number } };
};

/**
 * output: a tool that prints 100 MB, again and again. frames: messages of 1 MB, as fast as the socket takes them. keys: the
 * same with very many keys in each frame. deltas: an answer of 10,000 tokens a second. bare: no session; the tool of
 * `output` runs in a container without Fairlead, for comparison.
 */
export type BadKind = 'output' | 'frames' | 'keys' | 'deltas' | 'bare';

export interface BadDeeds {
  seconds: number;
  /** Ended tool calls, sent frames or received deltas, by the kind. */
  count: number;
  megabytes: number;
  problems: string[];
}

export type BadContract = {
  /** Resolves when it is under way. `thread` is its session's agent thread. */
  start: { body: { kind: BadKind; url: string; threads: number; thread: number }; result: null };
  /** Since the last call or the start. */
  deeds: { body: null; result: BadDeeds };
  /** Ends it and deletes the session. */
  stop: { body: null; result: null };
};

export type ModelContract = {
  open: { body: null; result: { url: string } };
  /** Of its event loop since the last call. */
  look: { body: null; result: { utilisation: number; violations: string[] } };
};
