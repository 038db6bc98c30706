/** Chooses between real parts and embedded defaults, and checks the real ones. Main thread. */
import type { Config } from '../shared/config.js';
import { detectSandbox } from './docker-detect.js';
import { FairleadError } from '../shared/errors.js';

export interface Parts {
  store: { kind: 'redis' | 'lmdb'; describe: string };
  sandbox: { driver: 'docker' | 'process'; describe: string; warning?: string };
  model: { kind: 'anthropic' | 'demo'; describe: string };
}

const MODEL_CHECK_TIMEOUT_MS = 5_000;

/** ERR_START with what to do when a configured part does not answer. Agent threads check the store when they open it. */
export async function chooseParts(config: Config): Promise<Parts> {
  const [sandbox, model] = await Promise.all([detectSandbox(config), chooseModel(config)]);
  return { store: chooseStore(config), sandbox, model };
}

function chooseStore(config: Config): Parts['store'] {
  const { redisUrl } = config.store;
  if (redisUrl === '')
    return { kind: 'lmdb', describe: `LMDB in ${config.dataDir} (embedded default; set REDIS_URL for Redis)` };
  const url = new URL(redisUrl);
  return { kind: 'redis', describe: `Redis at ${url.host}` };
}

async function chooseModel(config: Config): Promise<Parts['model']> {
  const { provider, name } = config.model;
  if (provider === 'demo' || (provider === 'auto' && config.anthropic.apiKey === '')) {
    return {
      kind: 'demo',
      describe: 'demo: scripted, understands a few phrases (set ANTHROPIC_API_KEY for a real model)',
    };
  }
  const base = config.anthropic.baseUrl || 'https://api.anthropic.com';
  await checkAnthropic(base, config.anthropic.apiKey);
  return { kind: 'anthropic', describe: `${name} at ${new URL(base).host}` };
}

/** Any answer will do except one that refuses the key, since a gateway need not know this path. */
async function checkAnthropic(base: string, apiKey: string): Promise<void> {
  const where = `the model at ${base}`;
  let status: number;
  try {
    const response = await fetch(`${base.replace(/\/+$/, '')}/v1/models?limit=1`, {
      headers: { 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' },
      signal: AbortSignal.timeout(MODEL_CHECK_TIMEOUT_MS),
    });
    status = response.status;
    await response.body?.cancel();
  } catch (error) {
    const cause = (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).name;
    throw new FairleadError(
      'ERR_START',
      `${where} does not answer (${cause}): check ANTHROPIC_BASE_URL and the network, or unset ANTHROPIC_API_KEY for the demo model`,
      {
        cause: error,
      },
    );
  }
  if (status === 401 || status === 403) {
    throw new FairleadError('ERR_START', `${where} refuses the key (${status}): check ANTHROPIC_API_KEY`);
  }
}
