/** What the processes of this bench tell each other. Types only. */

/** A bare server, once it listens. */
export interface Listening {
  url: string;
}

/** What the client is to do: on each connection one request after the other, without a pause. */
export interface LoadJob {
  url: string;
  connections: number;
  method: 'GET' | 'POST';
  /** The first connection takes the first of them, and so on round. */
  paths: string[];
  headers: Record<string, string>;
  body?: string;
  /** An answer without these words is a wrong one. */
  expect: string;
  extent: Extent;
}

/** Until the time is up, or until each connection has had so many answers. */
export type Extent = { seconds: number } | { each: number };

export type LoadTold = { type: 'done'; result: LoadResult } | { type: 'failed'; message: string };

export interface LoadResult {
  /** From the first connect to the last answer. */
  seconds: number;
  /** Of every answer with a 2xx, ms. */
  latencies: Float64Array;
  /** Not a 2xx, or without the expected words. */
  wrong: number;
  /** Connections that failed, and answers that did not come. */
  errors: number;
  /** Share of the time in which the client's event loop was not idle. */
  clientBusy: number;
}
