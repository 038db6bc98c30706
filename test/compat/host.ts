/** Fairlead as the host of popular MCP servers: each is listed, its tools go to a model that judges them as the real API does, and one is called. */
import { setTimeout as delay } from 'node:timers/promises';
import { startEngine, type Engine } from '../helpers/engine.js';
import { startModelServer, text, tool, type ModelServer } from '../helpers/model-server.js';
import { connect, type TestClient } from '../helpers/ws-client.js';
import { inWords, type Found } from './found.js';
import { programOf } from './programs.js';
import type { TriedServer } from './servers.js';

/** A server may load for long on a busy machine. */
const LIST_MS = 90_000;
/** After a first failure: it is asked again. */
const FAILED_MS = 10_000;
const CALL_MS = 90_000;
const LOOK_MS = 500;

interface Health {
  state: string;
  era?: string;
  lastError?: string;
  tools: { name: string }[];
}

/** One engine for each server: what one does, another does not notice. */
export async function tryServers(servers: readonly TriedServer[], log: (line: string) => void): Promise<Found[]> {
  const rows: Found[] = [];
  for (const server of servers) {
    log(server.package);
    rows.push(await tryServer(server, log));
  }
  return rows;
}

async function tryServer(server: TriedServer, log: (line: string) => void): Promise<Found> {
  const row = { what: `\`${server.package}\` ${server.version}`, how: howOf(server) };
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const [command = '', ...first] = await programOf(server, log);
    const model = await startModelServer();
    closers.push(() => model.close());
    const { args = [], env = {} } = server;
    const entry = { command, args: [...first, ...args], env };
    const engine = await startEngine({
      config: {
        allowHostCommands: true,
        agents: { threads: 1, spare: false },
        sandbox: { driver: 'process' },
        approvals: { default: 'allow' },
        mcp: { toolNames: 'always', toolTokens: 0 },
        mcpServers: { [server.name]: entry },
      },
      env: { DOCKER_HOST: '', ANTHROPIC_API_KEY: 'compat', ANTHROPIC_BASE_URL: model.url },
    });
    closers.push(() => engine.stop());
    const health = await listed(engine, server.name);
    if (health.tools.length === 0) {
      const why = inWords(health.lastError ?? health.state);
      return {
        ...row,
        ok: false,
        found: `not listed: ${why}${server.needs === undefined ? '' : ` (${server.needs})`}`,
      };
    }
    const client = await connect(engine.wsUrl);
    closers.push(() => client.close());
    await client.ready;
    const { ok, words } = await used(server, client, model);
    return { ...row, ok, found: `${health.era ?? 'unknown'} protocol, ${count(health.tools.length)}; ${words}` };
  } catch (error) {
    return { ...row, ok: false, found: inWords((error as Error).message) };
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

async function listed(engine: Engine, name: string): Promise<Health> {
  let until = performance.now() + LIST_MS;
  for (;;) {
    const health = (await (await fetch(`${engine.url}/v1/mcp/${name}`)).json()) as Health;
    if (health.tools.length > 0 || performance.now() > until) return health;
    if (health.lastError !== undefined) until = Math.min(until, performance.now() + FAILED_MS);
    await delay(LOOK_MS);
  }
}

/** One turn in which the model calls the tool, and what became of it. */
async function used(
  { name, call }: TriedServer,
  client: TestClient,
  model: ModelServer,
): Promise<{ ok: boolean; words: string }> {
  if (call) model.enqueue(tool(`${name}__${call.tool}`, call.args), text('done'));
  const turn = await client.ask('use it', { timeoutMs: CALL_MS });
  const taken = model.violations.length === 0;
  const sent = model.requests[0]?.body.tools?.filter((each) => each.name.startsWith(`${name}__`)).length ?? 0;
  const judged = taken ? `the model takes ${sent}` : `the model refuses: ${inWords(model.violations.join('; '))}`;
  if (!call) return { ok: taken, words: judged };
  const result = client.events.find((event) => event.type === 'tool:result');
  if (result?.type !== 'tool:result')
    return { ok: false, words: `${judged}; no result, the turn ended with ${turn.stopReason}` };
  const said = inWords((result.content as { text?: string }[]).map((block) => block.text ?? '').join(' '), 120);
  return {
    ok: taken,
    words: `${judged}; \`${call.tool}\` ${result.ok ? 'answers' : `answers with an error: ${said}`}`,
  };
}

function count(tools: number): string {
  return tools === 1 ? '1 tool' : `${tools} tools`;
}

function howOf({ args, env, newerNode }: TriedServer): string {
  const node = newerNode === true ? 'Node 24' : 'Node 20';
  const without = [...Object.values(env ?? {}), ...(args ?? [])].some((value) => /\bnone$/.test(value));
  return `host command, ${node}${without ? ', without an account' : ''}`;
}
