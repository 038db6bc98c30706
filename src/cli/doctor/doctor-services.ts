/** The doctor's checks of the store and the model. Command line's process. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createClient } from 'redis';
import type { Config } from '../../shared/config.js';
import { hasModelAccess, modelAddress } from '../../shared/config-model.js';
import { probeModel } from '../../shared/model-probe.js';
import { probeRedis } from '../../shared/redis-probe.js';
import { redisAddress } from '../../shared/redis-url.js';
import type { Finding } from './doctor.js';

const REDIS_CONNECT_MS = 4_000;

export function checkStore(config: Config, signal: AbortSignal): Promise<Finding[]> {
  return config.store.redisUrl === '' ? checkDataDir(config.dataDir) : checkRedis(config.store.redisUrl, signal);
}

/** The folder, or its nearest existing parent, must be writable. Creates nothing: a doctor only looks. */
async function checkDataDir(dataDir: string): Promise<Finding[]> {
  let folder = dataDir;
  for (;;) {
    try {
      if (!(await stat(folder)).isDirectory()) {
        return [{ status: 'failed', detail: `${folder} is no folder`, hint: 'set FAIRLEAD_DATA' }];
      }
      await access(folder, constants.W_OK | constants.X_OK);
      return [{ status: 'ok', detail: `no REDIS_URL: embedded LMDB will be used, in ${dataDir}` }];
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' || folder === dirname(folder)) {
        const hint = 'make it writable for this user, or set FAIRLEAD_DATA to another folder';
        return [{ status: 'failed', detail: `the data folder ${dataDir} cannot be written (${code})`, hint }];
      }
      folder = dirname(folder);
    }
  }
}

async function checkRedis(url: string, signal: AbortSignal): Promise<Finding[]> {
  const answer = await probeRedis(url, signal);
  if (answer.state === 'away') {
    const hint = `${answer.todo}. The server starts, and serves nobody until it is so`;
    return [{ status: 'failed', detail: answer.what, hint }];
  }
  if (answer.state === 'unfit') return [{ status: 'failed', detail: answer.what, hint: answer.todo }];
  const found: Finding = { status: 'ok', detail: `Redis ${answer.version} at ${redisAddress(url)}` };
  const client = createClient({
    url,
    disableOfflineQueue: true,
    socket: { connectTimeout: REDIS_CONNECT_MS, reconnectStrategy: false },
  });
  client.on('error', () => undefined); // `connect` and the command reject with it
  try {
    await client.connect();
    return [found, ...(await readSettings(client))];
  } finally {
    client.destroy();
  }
}

/** A managed Redis may hide its settings: then the finding is a warning. */
async function readSettings(client: {
  configGet(names: string[]): Promise<Record<string, string>>;
}): Promise<Finding[]> {
  let settings: Record<string, string>;
  try {
    settings = await client.configGet(['appendonly', 'maxmemory-policy']);
  } catch (error) {
    const detail = `its settings cannot be read (${(error as Error).message})`;
    return [{ status: 'warning', detail, hint: 'see yourself that appendonly is yes and maxmemory-policy noeviction' }];
  }
  const findings: Finding[] = [];
  if (settings['appendonly'] !== 'yes') {
    const hint =
      'CONFIG SET appendonly yes, and in redis.conf: else a crash of Redis loses what was said since its last snapshot';
    findings.push({ status: 'warning', detail: `appendonly is ${settings['appendonly']}`, hint });
  }
  if (settings['maxmemory-policy'] !== 'noeviction') {
    const hint =
      'CONFIG SET maxmemory-policy noeviction, and in redis.conf: else Redis drops conversations when it is full';
    findings.push({ status: 'warning', detail: `maxmemory-policy is ${settings['maxmemory-policy']}`, hint });
  }
  return findings;
}

export async function checkModel(config: Config, signal: AbortSignal): Promise<Finding[]> {
  const { provider, name } = config.model;
  if (provider === 'demo' || !hasModelAccess(config.anthropic)) {
    const detail = 'the scripted demo model will be used';
    return [
      { status: 'ok', detail: provider === 'demo' ? detail : `${detail} (set ANTHROPIC_API_KEY for a real one)` },
    ];
  }
  const base = modelAddress(config.anthropic);
  const answer = await probeModel(config.anthropic, config.proxies, signal);
  if (answer.state === 'away') {
    const hint =
      'look at ANTHROPIC_BASE_URL, the network and a proxy; without ANTHROPIC_API_KEY the demo model is used. The server starts, and is not ready until it answers';
    return [{ status: 'failed', detail: `${base} does not answer (${answer.why})`, hint }];
  }
  const { status } = answer;
  if (answer.state === 'refuses-key') {
    return [
      {
        status: 'failed',
        detail: `${base} refuses the key (${status})`,
        hint: 'correct ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN',
      },
    ];
  }
  // A gateway need not have this route: any answer below 500 but a refusal shows that it is there and takes the key.
  if (status >= 500) return [{ status: 'warning', detail: `${base} answers ${status}`, hint: 'try again later' }];
  return [{ status: 'ok', detail: `${name} at ${base}` }];
}
