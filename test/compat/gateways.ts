/** Gateways between Fairlead and a model of another kind: two turns, each with a tool call. */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startEngine } from '../helpers/engine.js';
import { freePort, stopChild, watchExit } from '../helpers/processes.js';
import { connect } from '../helpers/ws-client.js';
import { inWords, type Found } from './found.js';
import { startOpenAi } from './openai-stand-in.js';
import { programOf } from './programs.js';

const START_MS = 60_000;
const LOOK_MS = 100;
const TURN_MS = 60_000;
const KEY = 'compat';

export interface TriedGateway {
  name: string;
  package: string;
  version: string;
  args: string[];
  /** Its configuration, below its home. */
  file: string;
  config: (port: number, modelUrl: string) => object;
}

export const GATEWAYS: readonly TriedGateway[] = [
  {
    name: 'Claude Code Router',
    package: '@musistudio/claude-code-router',
    version: '1.0.73',
    args: ['start'],
    file: '.claude-code-router/config.json',
    config: (port, modelUrl) => ({
      PORT: port,
      HOST: '127.0.0.1',
      APIKEY: KEY,
      LOG: false,
      NON_INTERACTIVE_MODE: true,
      Providers: [{ name: 'openai', api_base_url: modelUrl, api_key: KEY, models: ['m'] }],
      Router: { default: 'openai,m' },
    }),
  },
];

export async function tryGateways(gateways: readonly TriedGateway[], log: (line: string) => void): Promise<Found[]> {
  const rows: Found[] = [];
  for (const gateway of gateways) {
    log(gateway.name);
    rows.push(await tryGateway(gateway, log));
  }
  return rows;
}

async function tryGateway(gateway: TriedGateway, log: (line: string) => void): Promise<Found> {
  const row = {
    what: `${gateway.name} ${gateway.version}`,
    how: 'before a model that speaks Chat Completions and gives each call the id `functions.list_files:0`',
  };
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const model = await startOpenAi();
    closers.push(() => model.close());
    const home = await mkdtemp(join(tmpdir(), 'fl-compat-'));
    closers.push(() => rm(home, { recursive: true, force: true }));
    const port = await freePort();
    const file = join(home, gateway.file);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, JSON.stringify(gateway.config(port, model.url)));
    const [command = '', ...first] = await programOf(gateway, log);
    const child = spawn(command, [...first, ...gateway.args], {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'], HOME: home },
    });
    const exited = watchExit(child);
    closers.push(() => stopChild(child, exited));
    const url = `http://127.0.0.1:${port}`;
    await untilItListens(url);
    const engine = await startEngine({
      config: { sandbox: { driver: 'process' }, approvals: { default: 'allow' } },
      env: { DOCKER_HOST: '', ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: url },
    });
    closers.push(() => engine.stop());
    await engine.waitForReadiness(200);
    return { ...row, ...(await twoTurns(engine.wsUrl)) };
  } catch (error) {
    return { ...row, ok: false, found: inWords((error as Error).message) };
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

/** It says so in no way of its own. */
async function untilItListens(url: string): Promise<void> {
  const until = performance.now() + START_MS;
  for (;;) {
    try {
      await fetch(url);
      return;
    } catch (error) {
      if (performance.now() > until) throw new Error(`it does not listen after ${START_MS} ms`, { cause: error });
      await delay(LOOK_MS);
    }
  }
}

async function twoTurns(wsUrl: string): Promise<Pick<Found, 'ok' | 'found'>> {
  const client = await connect(wsUrl);
  try {
    await client.ready;
    for (const turn of [1, 2]) {
      const end = await client.ask('look at the files', { timeoutMs: TURN_MS });
      if (end.stopReason !== 'end_turn' || !client.text(end.turn).includes('the workspace is empty')) {
        return { ok: false, found: `turn ${turn} ended with ${end.stopReason} ${end.error?.message ?? ''}` };
      }
    }
    const results = client.events.filter((event) => event.type === 'tool:result' && event.ok).length;
    return { ok: results === 2, found: `ready; two turns stream, each call runs once (${results} results)` };
  } finally {
    await client.close();
  }
}
