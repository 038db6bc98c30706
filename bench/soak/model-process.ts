/** The stand-in model in a process of its own. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { eachLine, stopChild, watchExit, within } from '../../test/helpers/processes.js';

const MAIN = fileURLToPath(new URL('../../test/helpers/model-server-main.js', import.meta.url));
const START_MS = 30_000;

export interface ModelProcess {
  url: string;
  stop(): Promise<void>;
}

/** Answers in as many tokens, as many ms apart; calls list_files when asked to list all files. */
export async function startModelProcess(tokens: number, gapMs: number): Promise<ModelProcess> {
  const child = spawn(process.execPath, [MAIN, '--tokens', String(tokens), '--gap-ms', String(gapMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = watchExit(child);
  const stop = async (): Promise<void> => {
    await stopChild(child, exited);
  };
  const gone = exited.then((): never => {
    throw new Error('the model ended before it listened');
  });
  const url = new Promise<string>((resolve) => {
    eachLine(child.stdout, (line) => resolve((JSON.parse(line) as { url: string }).url));
  });
  try {
    return { url: await within(Promise.race([url, gone]), START_MS, () => 'the model did not start'), stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    gone.catch(() => undefined); // from here on the bench itself ends it
  }
}
