/** The doctor's check of the clock: tokens end by it, and Redis and Docker have clocks of their own. Command line's process. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createClient } from 'redis';
import type { Config } from '../../shared/config.js';
import { dockerClient } from '../../shared/docker-client.js';
import { redisAddress } from '../../shared/redis-url.js';
import type { Finding } from './doctor.js';

const run = promisify(execFile);
const ASK_MS = 4_000;
const OFF_MS = 2_000;
const FAR_OFF_MS = 60_000;

/** Those that cannot be asked have a cross of their own elsewhere. */
export async function checkClock(config: Config): Promise<Finding[]> {
  const { redisUrl } = config.store;
  const others = await Promise.all([
    redisUrl === '' ? undefined : offsetOf(`Redis at ${redisAddress(redisUrl)}`, () => redisTime(redisUrl)),
    config.sandbox.driver === 'process' ? undefined : offsetOf('Docker', () => dockerTime(config.dockerHost)),
    synchronised(),
  ]);
  const findings = others.filter((finding) => finding !== undefined);
  if (findings.some(({ status }) => status !== 'ok')) return findings.filter(({ status }) => status !== 'ok');
  const detail = findings.map((finding) => finding.detail).join(', ');
  return [{ status: 'ok', detail: detail === '' ? new Date().toISOString() : detail }];
}

async function offsetOf(name: string, ask: () => Promise<number>): Promise<Finding | undefined> {
  const began = Date.now();
  const theirs = await ask().catch(() => undefined);
  if (theirs === undefined) return undefined;
  // It was read between the question and the answer.
  const off = Math.max(began - theirs, theirs - Date.now(), 0);
  return judge(name, off);
}

export function judge(name: string, offMs: number): Finding {
  if (offMs <= OFF_MS) return { status: 'ok', detail: `as ${name}` };
  const detail = `this clock and that of ${name} are ${(offMs / 1_000).toFixed(0)} s apart`;
  const hint = 'let chrony or systemd-timesyncd set both: tokens end, and sessions are taken over, by the clock';
  return { status: offMs > FAR_OFF_MS ? 'failed' : 'warning', detail, hint };
}

async function redisTime(url: string): Promise<number> {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    socket: { connectTimeout: ASK_MS, reconnectStrategy: false },
  });
  client.on('error', () => undefined); // `connect` rejects with it
  // One that takes the connection and says nothing would be waited for.
  const deadline = setTimeout(() => client.destroy(), ASK_MS);
  try {
    await client.connect();
    const [seconds = '', micros = ''] = await client.sendCommand<string[]>(['TIME']);
    return Number(seconds) * 1_000 + Number(micros) / 1_000;
  } finally {
    clearTimeout(deadline);
    if (client.isOpen) client.destroy();
  }
}

async function dockerTime(dockerHost: string): Promise<number> {
  const { SystemTime } = (await dockerClient(dockerHost, ASK_MS).info()) as { SystemTime?: string };
  const time = Date.parse(SystemTime ?? '');
  if (Number.isNaN(time)) throw new Error('Docker tells no time');
  return time;
}

/** What systemd knows of who sets this clock; undefined where it does not say. */
async function synchronised(): Promise<Finding | undefined> {
  const answer = await run('timedatectl', ['show', '--property=NTPSynchronized', '--value'], { timeout: ASK_MS }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
  if (answer === 'yes') return { status: 'ok', detail: 'set from the network' };
  if (answer !== 'no') return undefined;
  const hint = 'install chrony, or `timedatectl set-ntp true`';
  return { status: 'warning', detail: 'nobody sets this clock from the network', hint };
}
