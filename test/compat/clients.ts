/** MCP clients at Fairlead's /mcp, with a token: each lists the tools and calls one. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { startEngine, type Engine } from '../helpers/engine.js';
import { lastText, offeredTool, startModelServer, text, tool, toolResults } from '../helpers/model-server.js';
import { inWords, type Found } from './found.js';
import { programOf } from './programs.js';

const run = promisify(execFile);
const RUN_MS = 180_000;

interface Place {
  url: string;
  token: string;
  modelUrl: string;
  /** For the client's own files. */
  home: string;
  log: (line: string) => void;
}

interface TriedClient {
  name: string;
  /** Without one it is asked. */
  version?: string;
  how: string;
  /** Resolves with what it printed. */
  run: (place: Place) => Promise<string>;
  /** Of a client that has listed the tools and called one. */
  proof: RegExp;
}

const EMPTY = /the workspace is empty/;

export const CLIENTS: readonly TriedClient[] = [
  {
    name: 'Claude Code',
    version: '2.1.332',
    how: 'print mode with the server in `--mcp-config`, against the stand-in model',
    run: claudeCode,
    proof: EMPTY,
  },
  { name: 'mcporter', version: '0.12.3', how: '`list` and `call`', run: mcporter, proof: EMPTY },
  {
    name: 'MCP Inspector',
    version: '2.12.0',
    how: 'its command line: `tools/list` and `tools/call`',
    run: inspector,
    proof: EMPTY,
  },
  {
    name: 'curl',
    how: '`initialize`, `tools/list` and `tools/call` by hand, with its own `Accept`',
    run: curl,
    proof: EMPTY,
  },
];

export async function tryClients(clients: readonly TriedClient[], log: (line: string) => void): Promise<Found[]> {
  const model = await startModelServer({
    betas: true,
    script: ({ body }) => {
      const results = toolResults(body);
      if (results.length > 0) return text(results.map((result) => result.text).join('\n'));
      const list = offeredTool(body, 'list_files');
      return list !== undefined && lastText(body).includes('look') ? tool(list, { path: '/workspace' }) : text('hello');
    },
  });
  const rows: Found[] = [];
  let engine: Engine | undefined;
  try {
    engine = await startEngine({
      config: { auth: {}, sandbox: { driver: 'process' }, approvals: { default: 'allow' } },
      env: { DOCKER_HOST: '', ANTHROPIC_API_KEY: 'compat', ANTHROPIC_BASE_URL: model.url },
    });
    const token = await engine.token();
    for (const client of clients) {
      log(client.name);
      rows.push(await tryClient(client, { url: `${engine.url}/mcp`, token, modelUrl: model.url, log }));
    }
    return rows;
  } finally {
    await engine?.stop();
    await model.close();
  }
}

async function tryClient(client: TriedClient, place: Omit<Place, 'home'>): Promise<Found> {
  const home = await mkdtemp(join(tmpdir(), 'fl-compat-'));
  const version = client.version ?? /[\d.]+/.exec(await printed([client.name], home, ['--version']))?.[0] ?? '';
  const row = { what: `${client.name} ${version}`, how: client.how };
  try {
    const printed = await client.run({ ...place, home });
    const ok = client.proof.test(printed);
    return { ...row, ok, found: ok ? 'lists the tools and calls one' : `printed: ${inWords(printed)}` };
  } catch (error) {
    const { message, stdout = '', stderr = '' } = error as Error & { stdout?: string; stderr?: string };
    return { ...row, ok: false, found: inWords(`${stderr} ${stdout} ${message}`.replaceAll(place.token, '…')) };
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

async function claudeCode({ url, token, modelUrl, home, log }: Place): Promise<string> {
  const program = { package: '@anthropic-ai/claude-code', version: '2.1.332', scripts: true };
  const servers = { fairlead: { type: 'http', url, headers: { Authorization: `Bearer ${token}` } } };
  return await printed(
    await programOf(program, log),
    home,
    [
      '-p',
      'look at the files',
      '--strict-mcp-config',
      '--mcp-config',
      JSON.stringify({ mcpServers: servers }),
      '--allowedTools',
      'mcp__fairlead__list_files',
    ],
    {
      ANTHROPIC_BASE_URL: modelUrl,
      ANTHROPIC_API_KEY: 'compat',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      // The stand-in model does not search for tools.
      ENABLE_TOOL_SEARCH: 'false',
      DISABLE_AUTOUPDATER: '1',
    },
  );
}

async function mcporter({ url, token, home, log }: Place): Promise<string> {
  const program = await programOf({ package: 'mcporter', version: '0.12.3', newerNode: true }, log);
  const where = ['--http-url', url, '--allow-http', '--name', 'fairlead', '--header', `Authorization=Bearer ${token}`];
  const list = await printed(program, home, ['list', ...where]);
  const call = await printed(program, home, ['call', ...where, 'fairlead.list_files', 'path=/workspace']);
  return list.includes('list_files') ? call : list;
}

async function inspector({ url, token, home, log }: Place): Promise<string> {
  const package_ = {
    package: '@modelcontextprotocol/inspector',
    version: '2.12.0',
    bin: 'mcp-inspector',
    newerNode: true,
  };
  const program = await programOf(package_, log);
  const where = ['--cli', url, '--transport', 'http', '--header', `Authorization: Bearer ${token}`];
  const list = await printed(program, home, [...where, '--method', 'tools/list']);
  const call = ['--method', 'tools/call', '--tool-name', 'list_files', '--tool-arg', 'path=/workspace'];
  return list.includes('list_files') ? await printed(program, home, [...where, ...call]) : list;
}

async function curl({ url, token, home }: Place): Promise<string> {
  const ask = (method: string, params: object, ...args: string[]): Promise<string> => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const headers = [`authorization: Bearer ${token}`, 'content-type: application/json'];
    const head = headers.flatMap((header) => ['-H', header]);
    return printed(['curl'], home, ['-sS', '--fail-with-body', ...head, ...args, '-d', body, url]);
  };
  const about = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'curl', version: '0' } };
  const begun = await ask('initialize', about, '-D', '-');
  const session = /^(mcp-session-id: \S+)/im.exec(begun)?.[1] ?? 'mcp-session-id: none';
  const list = await ask('tools/list', {}, '-H', session);
  const call = await ask('tools/call', { name: 'list_files', arguments: { path: '/workspace' } }, '-H', session);
  return list.includes('list_files') ? call : `${begun} ${list}`;
}

async function printed(
  [command = '', ...first]: readonly string[],
  home: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const node = command.endsWith('/node') ? dirname(command) : '';
  const { stdout } = await run(command, [...first, ...args], {
    cwd: home,
    timeout: RUN_MS,
    env: { PATH: [node, process.env['PATH']].filter(Boolean).join(':'), HOME: home, ...env },
  });
  return stdout;
}
