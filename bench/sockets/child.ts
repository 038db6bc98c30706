/** A server of this bench in a child process, which prints its URL as one JSON line. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { eachLine, stopChild, watchExit, within } from '../../test/helpers/processes.js';
import { COLLECTABLE } from '../suite/collect.js';

const START_MS = 15_000;

export interface ServerChild {
  pid: number;
  url: string;
  stop(): Promise<void>;
}

/** `file` lies beside this one. */
export async function startChild(file: string, args: readonly string[] = []): Promise<ServerChild> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: COLLECTABLE },
    // Not in the terminal's process group: after a Ctrl-C the bench ends its children in order.
    detached: true,
  });
  const exited = watchExit(child);
  const stop = async (): Promise<void> => void (await stopChild(child, exited));
  const told = new Promise<string>((resolve) => {
    eachLine(child.stdout, (line) => resolve((JSON.parse(line) as { url: string }).url));
  });
  const gone = exited.then((exit): never => {
    throw new Error(`${file} ended with ${exit.code ?? exit.signal} before it listened`);
  });
  try {
    const url = await within(Promise.race([told, gone]), START_MS, () => `${file} did not listen`);
    gone.catch(() => undefined); // from here on the bench itself ends it
    return { pid: child.pid ?? 0, url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
