/** A redis-server of the test's own: free port, temp folder, nothing written to disk unless asked. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eachLine, freePort, stopChild, Tail, watchExit, within, type Exit } from './processes.js';

const START_MS = 30_000;
const PORT_TRIES = 5;

export interface RedisOptions {
  /** More arguments, e.g. `['--appendonly', 'yes']` for one whose data outlives `restart`. */
  args?: string[];
}

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends it in good order and removes its folder. Twice is fine. */
  stop(): Promise<void>;
  /** SIGKILL: it is away, its port and folder are kept for `restart`. */
  kill(): Promise<void>;
  /** SIGSTOP: its sockets stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** Ends it where it still runs, and starts it again on the same port and folder. */
  restart(): Promise<void>;
}

interface Running {
  child: ChildProcess;
  exited: Promise<Exit>;
}

export async function startRedis(options: RedisOptions = {}): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-redis-'));
  const args = options.args ?? [];
  let port = 0;
  let running: Running | undefined;
  for (let tries = 1; running === undefined; tries++) {
    port = await freePort();
    try {
      running = await launch(port, folder, args);
    } catch (error) {
      if (tries < PORT_TRIES && String(error).includes('Address already in use')) continue;
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }
  let current = running;
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return current.child.pid ?? 0;
    },
    async stop() {
      await stopChild(current.child, current.exited);
      await rm(folder, { recursive: true, force: true });
    },
    async kill() {
      current.child.kill('SIGKILL');
      await current.exited;
    },
    pause() {
      current.child.kill('SIGSTOP');
    },
    resume() {
      current.child.kill('SIGCONT');
    },
    async restart() {
      await stopChild(current.child, current.exited);
      current = await launch(port, folder, args);
    },
  };
}

async function launch(port: number, folder: string, args: string[]): Promise<Running> {
  const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--daemonize', 'no', '--save', ''];
  const child = spawn('redis-server', [...fixed, '--appendonly', 'no', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = watchExit(child);
  const tail = new Tail();
  const ready = new Promise<void>((resolve) => {
    eachLine(child.stdout, (line) => {
      tail.push(line);
      if (line.includes('Ready to accept connections')) resolve();
    });
  });
  const gone = exited.then((exit): never => {
    throw new Error(`redis-server ended with ${exit.code ?? exit.signal}:\n${tail.toString()}`);
  });
  try {
    await within(Promise.race([ready, gone]), START_MS, () => `redis-server did not start:\n${tail.toString()}`);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  gone.catch(() => undefined); // from here on its end is the test's doing
  return { child, exited };
}
