/** The messages between the bench and its processes. Types only. */

/** `fairlead`, and what a user would pick instead: the Claude Agent SDK (a process a session), Socket.IO with a container a user. */
export type WayName = 'fairlead' | 'agent-sdk' | 'socket.io';

/** `talk`: an answer in words. `look`: the answer needs one call of a tool. */
export type Ask = 'talk' | 'look';

/** ms; the first answer counts from the moment in which the person begins to connect. */
export interface Times {
  firstMs: number;
  turnMs: number;
  error?: string;
}

export type PeopleContract = {
  /** Those who come from now on talk at this server. */
  meet: { body: { way: WayName; url: string }; result: null };
  /** Until so many people are there: each connects and has the first answer, `atOnce` at a time. */
  arrive: { body: { people: number; atOnce: number; ask: Ask }; result: Times[] };
  /** All who are there talk; each thinks for `thinkMs` on average before each message. */
  talk: { body: { ms: number; thinkMs: number }; result: Times[] };
  /** All ask at once, and the model stops after its first token. Resolves when each has that. */
  hold: { body: null; result: null };
  /** Resolves when the held turns have ended, with how many of them failed. */
  held: { body: null; result: { failed: number } };
  /** All leave. */
  leave: { body: null; result: null };
};

export type ModelContract = {
  /** `file`: the absolute path of a file that a session of the Claude Agent SDK can read. */
  open: { body: { file: string }; result: { url: string } };
  /** Held answers go on. */
  release: { body: null; result: null };
  /** Requests that the API would have refused, as the stand-in says it. */
  violations: { body: null; result: string[] };
};

/** Of the servers that are compared with; `pids` are of the server itself. */
export type ServerContract = {
  open: { body: ServerSetup; result: { url: string } };
  /** Its garbage. */
  collect: { body: null; result: null };
};

export interface ServerSetup {
  modelUrl: string;
  /** A folder of the bench, for the server's own files. */
  folder: string;
  /** Where the Claude Agent SDK is installed. */
  sdk: string;
  /** The label of the containers. */
  instance: string;
}
