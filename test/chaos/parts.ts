/** Starts the real parts of a chaos run: dockerd, Redis, the stand-in model, one server or two. Runs in tests. */
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEngine, type Engine } from '../helpers/engine.js';
import { startModelServer, type ModelServer } from '../helpers/model-server.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { startChaosDockerd, type ChaosDockerd } from './dockerd.js';
import { makeChaosTools } from './tools.js';

/** `a` suffers the faults; `b`, where a plan has it, takes sessions over. */
export type ServerName = 'a' | 'b';

export const AGENT_THREADS = 2;

/** Below the kernel's range for outgoing connections: a client that reconnects too early must not be given the server's port. */
const PORTS = { from: 15_000, to: 30_000 };

const CONFIG = {
  agents: { threads: AGENT_THREADS },
  limits: { maxSocketsPerUser: 10_000, maxReadsPerSecond: 0 },
  store: { timeoutMs: 4_000, eventLog: { maxEvents: 1_000_000, maxBytes: 1_000_000_000 } },
};
const APPROVALS = {
  default: 'allow',
  rules: ['careful', 'read'].map((tool) => ({ tool, action: 'ask' })),
};
const SANDBOX = { memoryMb: 96, workspaceMb: 16, tmpMb: 4, shmMb: 4, pids: 64, toolTimeoutMs: 40_000 };

/** What a plan wants of its servers. */
export interface WorldOptions {
  /** Section by section, over what all plans have in common. */
  config: Record<'listen' | 'sandbox', object> & Partial<Record<'agents' | 'approvals', object>>;
  /** The warm pool of each server. */
  pools: { a: object; b?: object };
  /** Containers outlive the daemon. */
  liveRestore?: boolean;
  /** Told of each part as soon as it is there. */
  onTeardown: (end: () => Promise<unknown>) => void;
}

export interface WorldParts {
  dockerd: ChaosDockerd;
  redis: TestRedis;
  model: ModelServer;
  servers: ReadonlyMap<ServerName, Engine>;
  /** Has each server's `NAME.sock`, over which its threads are told to die. */
  folder: string;
}

/** Sets DOCKER_HOST, by which helpers find the daemon. */
export async function startParts({
  config,
  pools,
  liveRestore = false,
  onTeardown,
}: WorldOptions): Promise<WorldParts> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-chaos-'));
  onTeardown(() => rm(folder, { recursive: true, force: true }));
  const dockerd = await startChaosDockerd({ liveRestore });
  onTeardown(() => dockerd.stop());
  process.env['DOCKER_HOST'] = dockerd.host;
  const [image, redis, model] = await Promise.all([
    makeChaosTools(),
    // Not everysec: while a sync is under way Redis delays writes that it has confirmed, and kill -9 loses them.
    startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] }),
    startModelServer({ keep: 0 }),
  ]);
  onTeardown(() => redis.stop());
  onTeardown(() => model.close());
  const servers = new Map<ServerName, Engine>();
  for (const [name, pool] of Object.entries(pools) as [ServerName, object][]) {
    const engine = await startEngine({
      config: {
        ...CONFIG,
        listen: config.listen,
        agents: { ...CONFIG.agents, ...config.agents },
        approvals: { ...APPROVALS, ...config.approvals },
        sandbox: { ...SANDBOX, ...config.sandbox, pool },
        mcpServers: { box: { image: image.tag } },
      },
      env: {
        REDIS_URL: redis.url,
        DOCKER_HOST: dockerd.host,
        ANTHROPIC_API_KEY: 'sk-test-key',
        ANTHROPIC_BASE_URL: model.url,
        PORT: String(await fixedPort()),
        CHAOS_SOCKET: join(folder, `${name}.sock`),
        NODE_OPTIONS: `--import=${new URL('preload.js', import.meta.url).href}`,
      },
    });
    onTeardown(() => engine.stop());
    servers.set(name, engine);
  }
  return { dockerd, redis, model, servers, folder };
}

/** Free now, and not one that a client could be given meanwhile. */
async function fixedPort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (free) return port;
  }
}
