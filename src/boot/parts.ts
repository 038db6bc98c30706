/** Chooses between real parts and embedded defaults. Whether the real ones are there is asked later: see start-waits.ts. Main thread. */
import type { Config } from '../shared/config.js';
import { hasModelAccess, modelAddress } from '../shared/config-model.js';
import { proxyFor, shownProxy } from '../shared/proxies.js';
import { chooseDriver } from './docker-detect.js';

export interface Parts {
  store: { kind: 'redis' | 'lmdb'; describe: string };
  sandbox: { driver: 'docker' | 'process'; describe: string; warning?: string };
  model: { kind: 'anthropic' | 'demo'; describe: string };
}

/** The kinds are final; what Docker is like is known once it answers. */
export function chooseParts(config: Config): Parts {
  return { store: chooseStore(config), sandbox: chooseDriver(config), model: chooseModel(config) };
}

function chooseStore(config: Config): Parts['store'] {
  const { redisUrl } = config.store;
  if (redisUrl === '')
    return { kind: 'lmdb', describe: `LMDB in ${config.dataDir} (embedded default; set REDIS_URL for Redis)` };
  const url = new URL(redisUrl);
  return { kind: 'redis', describe: `Redis at ${url.host}` };
}

/** Whether it answers is asked by ModelWatch: a model that is away makes the server wait, not fail. */
function chooseModel(config: Config): Parts['model'] {
  const { provider, name } = config.model;
  if (provider === 'demo' || (provider === 'auto' && !hasModelAccess(config.anthropic))) {
    return {
      kind: 'demo',
      describe: 'demo: scripted, understands a few phrases (set ANTHROPIC_API_KEY for a real model)',
    };
  }
  const address = new URL(modelAddress(config.anthropic));
  const proxy = proxyFor(address, config.proxies);
  const through = proxy === undefined ? '' : ` through the proxy ${shownProxy(proxy)}`;
  return { kind: 'anthropic', describe: `${name} at ${address.host}${through}` };
}
