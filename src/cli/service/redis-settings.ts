/** What this machine's Redis is set to now. Command line's process. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { REDIS_SETTINGS } from './texts.js';

const run = promisify(execFile);
const ASK_MS = 10_000;

/** Undefined when it does not say. */
export async function settingsOfRedis(): Promise<Record<string, string> | 'stopped' | undefined> {
  if (await isStopped()) return 'stopped';
  try {
    const found = await Promise.all(
      REDIS_SETTINGS.map(async ([name]) => {
        const { stdout } = await run('redis-cli', ['config', 'get', name], { timeout: ASK_MS });
        const [said, value] = stdout.split('\n');
        if (said !== name || value === undefined) throw new Error(`redis-cli says ${stdout}`);
        return [name, value] as const;
      }),
    );
    return Object.fromEntries(found);
  } catch {
    return undefined; // no Redis, or one that lets only others ask: the plan does without
  }
}

async function isStopped(): Promise<boolean> {
  const state = await run('systemctl', ['show', 'redis-server.service', '--property=ActiveState', '--value'], {
    timeout: ASK_MS,
  }).then(
    ({ stdout }) => stdout.trim(),
    () => '', // no systemd: the installation is refused
  );
  return state === 'inactive' || state === 'failed';
}
