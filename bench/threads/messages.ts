/** What the bench asks of its child processes, and what they answer. Types only. */

/** By name of the question. */
export type Contract = Record<string, { body: unknown; result: unknown }>;

export type Handlers<C extends Contract> = { [K in keyof C]: (body: C[K]['body']) => Promise<C[K]['result']> };

export interface Question {
  id: number;
  name: string;
  body: unknown;
}

export type Answer = { id: number; ok: true; result: unknown } | { id: number; ok: false; message: string };

/** An answer of a few tokens; one of some hundred, which gives the agent thread more to do and the others hardly more. */
export type TurnKind = 'short' | 'long';

export interface Saturated {
  /** Those that ended within the time, in `seconds`. */
  turns: number;
  seconds: number;
  /** With those before and after it, whose processor time is in the account as well. */
  allTurns: number;
  firstMs: number[];
  turnMs: number[];
  /** Of the event loop of the generator: 1 is all it has. */
  utilisation: number;
}

/** Of the sessions of one agent thread. */
export interface Samples {
  thread: number;
  firstMs: number[];
  turnMs: number[];
  pongMs: number[];
  /** Turns that ended in an error, or were refused. */
  failed: number;
}

export interface Pace {
  ms: number;
  /** What begins in the first part of it is not counted. */
  leadInMs: number;
  turnEveryMs: number;
  pingEveryMs: number;
}

/** `url` is that of the server, and names the crowd. */
export type PeopleContract = {
  connect: { body: { url: string; people: number; threads: number }; result: null };
  /** Each person says the next thing as soon as the last is answered. */
  saturate: { body: { url: string; kind: TurnKind; ms: number; leadInMs: number }; result: Saturated };
  /** Each person says something so often, and pings. */
  pace: { body: { url: string } & Pace; result: { samples: Samples[]; utilisation: number } };
};

/**
 * output: a tool that prints 100 MB, again and again. frames: messages of 1 MB, as fast as the socket takes them. keys: the
 * same of frames with very many keys. deltas: an answer of 10,000 tokens a second. bare: no session at all, the
 * tool of `output` called by hand in a container beside the server, for comparison.
 */
export type BadKind = 'output' | 'frames' | 'keys' | 'deltas' | 'bare';

export interface BadDeeds {
  seconds: number;
  /** Tool calls that ended, frames that were sent, deltas that came, by the kind. */
  count: number;
  megabytes: number;
  problems: string[];
}

export type BadContract = {
  /** Resolves when it is under way. Its session lives on this agent thread. */
  start: { body: { kind: BadKind; url: string; threads: number; thread: number }; result: null };
  /** Since the last call, or the start. */
  deeds: { body: null; result: BadDeeds };
  /** Ends it and deletes the session. */
  stop: { body: null; result: null };
};

export type ModelContract = {
  open: { body: null; result: { url: string } };
  /** Of its event loop since the last look. */
  look: { body: null; result: { utilisation: number; violations: string[] } };
};
