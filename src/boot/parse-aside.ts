/** Has a configuration checked in a thread of its own, so that nobody waits for it. Main thread. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ConfigError, type Config, type ConfigProblem } from '../shared/config.js';

/** The largest file takes a few seconds on a busy machine. */
const DEADLINE_MS = 60_000;

export interface ToParse {
  /** Absent: there is no file, and the defaults count. */
  bytes?: Uint8Array;
  file: string;
  env: NodeJS.ProcessEnv;
  cwd: string;
}

export type Parsed = { config: Config } | { problems: readonly ConfigProblem[] };

/** Throws ConfigError with every problem. The result is not frozen. */
export async function parseAside(asked: ToParse): Promise<Config> {
  const worker = new Worker(new URL('parse-thread.js', import.meta.url), { workerData: asked, name: 'config' });
  try {
    const [parsed] = (await once(worker, 'message', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [Parsed];
    if ('problems' in parsed) throw new ConfigError(parsed.problems);
    return parsed.config;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([{ path: asked.file, message: `could not be checked (${(error as Error).message})` }]);
  } finally {
    void worker.terminate();
  }
}
