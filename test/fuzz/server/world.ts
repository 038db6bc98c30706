/** The real server that is attacked: Redis, Docker, a model, one user, a loud server in a sandbox, and a remote one. Runs in tests. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dockerHost, WORKSPACE_IMAGE } from '../../helpers/docker.js';
import { startEngine, type Engine } from '../../helpers/engine.js';
import { startModelServer, text } from '../../helpers/model-server.js';
import { startRedis } from '../../helpers/redis.js';
import { until } from '../../helpers/until.js';
import { LOUD_SERVER } from './loud-server.js';
import { startRemoteServer } from './remote-server.js';

const MIB = 1024;
const ENDED = /(agent|docker) thread.*(died|ended|hangs)/;
const LISTED_MS = 60_000;
const USERS = ['ada', 'ben', 'cyd', 'dan'];

export interface FuzzWorld {
  engine: Engine;
  /** One for each user. */
  tokens: readonly string[];
  threadsLost(): string[];
  rssMb(): Promise<number>;
}

export async function startWorld(onTeardown: (end: () => Promise<unknown>) => void): Promise<FuzzWorld> {
  const redis = await startRedis();
  onTeardown(() => redis.stop());
  const model = await startModelServer({ keep: 0 });
  onTeardown(() => model.close());
  model.script(() => text('so'));
  const remote = await startRemoteServer();
  onTeardown(() => remote.stop());
  const tokens = USERS.map(() => randomBytes(24).toString('base64url'));
  const engine = await startEngine({
    config: {
      agents: { threads: 2 },
      auth: {
        tokens: USERS.map((user, index) => ({
          user,
          sha256: createHash('sha256')
            .update(tokens[index] ?? '')
            .digest('hex'),
        })),
      },
      approvals: { default: 'allow' },
      // The limits of rate would be all that is tested.
      limits: { maxBytesPerSecond: 0, maxReadsPerSecond: 0, maxSocketsPerUser: 1_000, maxInFlight: 50 },
      mcp: { allowLoopback: true, toolNames: 'always' },
      mcpServers: {
        workspace: { image: WORKSPACE_IMAGE },
        loud: { command: 'node', args: ['-e', LOUD_SERVER], sandbox: 'workspace' },
        remote: { type: 'http', url: remote.url },
      },
    },
    env: {
      REDIS_URL: redis.url,
      DOCKER_HOST: dockerHost(),
      ANTHROPIC_API_KEY: 'sk-test-key',
      ANTHROPIC_BASE_URL: model.url,
    },
  });
  onTeardown(() => engine.stop());
  const world: FuzzWorld = {
    engine,
    tokens,
    threadsLost: () => engine.logs.filter(({ msg }) => ENDED.test(msg)).map(({ msg }) => msg),
    async rssMb() {
      const status = await readFile(`/proc/${engine.pid}/status`, 'utf8');
      return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / MIB);
    },
  };
  await until('both servers are listed', async () => (await toolCount(world)) >= 2, { timeoutMs: LISTED_MS });
  return world;
}

async function toolCount({ engine, tokens }: FuzzWorld): Promise<number> {
  const response = await fetch(`${engine.url}/v1/mcp`, { headers: { Authorization: `Bearer ${tokens[0]}` } });
  const { servers } = (await response.json()) as { servers: { name: string; tools: unknown[] }[] };
  return servers.filter(({ name, tools }) => ['loud', 'remote'].includes(name) && tools.length > 0).length;
}
