/** What the processes of this bench tell each other. Types only. */

/** A bare server, once it listens. */
export interface Listening {
  url: string;
}

/** The client's job: one request after the other on each connection, without a pause. */
export interface LoadJob {
  url: string;
  connections: number;
  method: 'GET' | 'POST';
  /** Connections take them in turn. */
  paths: string[];
  headers: Record<string, string>;
  body?: string;
  /** An answer without these words is wrong. */
  expect: string;
  extent: Extent;
}

/** For so long, or until each connection has had so many answers. */
export type Extent = { seconds: number } | { each: number };

export type LoadTold = { type: 'done'; result: LoadResult } | { type: 'failed'; message: string };

export interface LoadResult {
  /** From the first connect to the last answer. */
  seconds: number;
  /** Of every answer with a 2xx, ms. */
  latencies: Float64Array;
  /** Not a 2xx, or without the expected words. */
  wrong: number;
  /** Failed connections and missing answers. */
  errors: number;
  /** Share of the time in which the client's event loop was not idle. */
  clientBusy: number;
}
