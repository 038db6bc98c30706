import t from 'tap';
import { McpServer } from '@modelcontextprotocol/server';
import pino from 'pino';
import { z } from 'zod';
import { parseConfig } from '../../../../../src/shared/config.js';
import { untilAborted } from '../../../../../src/shared/abort.js';
import { FairleadError } from '../../../../../src/shared/errors.js';
import { RESTORED_META } from '../../../../../src/shared/mcp-meta.js';
import { registry } from '../../../../../src/shared/metrics.js';
import type { LeaseRequest, LeaseResult, ReplaceRequest } from '../../../../../workers/docker/contract/messages.js';
import { SandboxConnection, type SandboxHost } from '../../../../../workers/agent/mcp/sandbox/connection.js';
import { SessionSandboxes } from '../../../../../workers/agent/mcp/sandbox/session-sandboxes.js';
import { HANDSHAKE, serveOnPort, type PortServer } from '../../../../helpers/port-mcp-server.js';
import { deferred } from '../../../../helpers/processes.js';
import { createToolServer, ToolBox } from '../../test-tools.js';
import { SessionTools } from '../../../../../workers/agent/mcp/catalogue/session-tools.js';

const log = pino({ level: 'silent' });

class TestHost implements SandboxHost {
  readonly leases: string[] = [];
  readonly released: string[] = [];
  readonly servers: PortServer[] = [];
  readonly box = new ToolBox();
  make = (): McpServer => createToolServer(this.box);
  before: () => Promise<void> = async () => undefined;

  async lease({ session, server, port }: LeaseRequest): Promise<LeaseResult> {
    this.leases.push(`${session} ${server}`);
    await this.before();
    this.servers.push(await serveOnPort(port, this.make()));
    return { sandbox: `box-${this.servers.length}`, handshake: HANDSHAKE, generation: 0, waitedMs: 1 };
  }

  async exec(): Promise<void> {
    throw new FairleadError('ERR_SANDBOX', 'nothing else runs here');
  }

  onHibernate: (sandbox: string) => Promise<void> = async () => undefined;
  readonly hibernated: string[] = [];

  async hibernate(sandbox: string): Promise<void> {
    await this.onHibernate(sandbox);
    this.hibernated.push(sandbox);
  }

  readonly kept: string[] = [];
  onKeep: () => void = () => undefined;

  async keep(sandbox: string): Promise<void> {
    this.kept.push(sandbox);
    this.onKeep();
  }

  readonly replaced: ReplaceRequest[] = [];
  onReplace: (request: ReplaceRequest) => Promise<void> = async () => undefined;

  async replace(request: ReplaceRequest): Promise<{ saved: boolean }> {
    await this.onReplace(request);
    this.replaced.push(request);
    return { saved: true };
  }

  async release(sandbox: string): Promise<void> {
    this.released.push(sandbox);
  }
}

type Ended = (reason: string) => void;

const asks = { elicit: async () => ({ action: 'cancel' }) as const };

function open(host: SandboxHost, onEnd: Ended = () => undefined): Promise<SandboxConnection> {
  const options = {
    session: 's-1',
    user: 'user-1',
    server: 'workspace',
    capabilities: {},
    log,
    silenceMs: 0,
    onSilent: () => Promise.reject(new Error('nobody watches it')),
    onEnd,
    onToolsChanged: () => undefined,
  };
  return SandboxConnection.open({ host, ...options });
}

const call = (name: string, args: Record<string, unknown>, signal = new AbortController().signal) => ({
  name,
  args,
  signal,
  timeoutMs: 15_000,
  asks,
  onOutput: () => undefined,
});

const RESTORED = { savedAt: 1, files: 2, skipped: { count: 0, paths: [] } };

void t.test('a restored sandbox is told so with the first command, and with no other call', async (t) => {
  const host = new TestHost();
  const seen: unknown[] = [];
  host.make = () => {
    const server = new McpServer({ name: 'test', version: '1' });
    for (const name of ['read_file', 'run_command']) {
      server.registerTool(name, {}, ({ mcpReq }) => {
        seen.push([name, mcpReq._meta?.[RESTORED_META]]);
        return { content: [] };
      });
    }
    return server;
  };
  const lease = host.lease.bind(host);
  host.lease = async (request) => ({ ...(await lease(request)), restored: RESTORED });
  const connection = await open(host);
  t.teardown(() => connection.close());
  for (const name of ['read_file', 'run_command', 'run_command']) await connection.callTool(call(name, {}));
  t.same(seen, [
    ['read_file', undefined],
    ['run_command', true],
    ['run_command', undefined],
  ]);
});

void t.test('a connection needs no handshake, calls tools, and releases its sandbox', async (t) => {
  const host = new TestHost();
  const connection = await open(host);
  t.teardown(() => connection.close());
  t.match(await connection.callTool(call('echo', { text: 'a' })), { content: [{ type: 'text', text: 'echo: a' }] });
  await connection.close();
  await host.servers[0]!.closed;
  t.same(host.released, ['box-1']);
});

void t.test('an abort cancels the call on the server too', async (t) => {
  const host = new TestHost();
  const connection = await open(host);
  t.teardown(() => connection.close());
  const abort = new AbortController();
  const running = connection.callTool(call('wait', { key: 'k' }, abort.signal));
  await host.box.started('k');
  abort.abort();
  await t.rejects(running, { code: 'ERR_CANCELLED' });
  await connection.callTool(call('echo', { text: 'a' }));
  t.same(host.box.cancelled, ['k']);
});

void t.test(
  'errors by code: a lease refused, an end at the start, an end in the middle, an unknown tool',
  async (t) => {
    const refused: SandboxHost = {
      lease: () => Promise.reject(new FairleadError('ERR_UNAVAILABLE', 'full')),
      exec: () => Promise.reject(new Error('there is nothing to start it in')),
      hibernate: () => Promise.reject(new Error('there is nothing to save')),
      keep: () => Promise.reject(new Error('there is nothing to keep')),
      replace: () => Promise.reject(new Error('there is nothing to replace')),
      release: () => Promise.reject(new Error('there is nothing to release')),
    };
    await t.rejects(open(refused), { code: 'ERR_UNAVAILABLE' });

    const dead = new TestHost();
    dead.lease = async ({ port }) => {
      port.postMessage({ type: 'exit', code: 1, reason: 'killed' });
      return { sandbox: 'dead', handshake: HANDSHAKE, generation: 0, waitedMs: 1 };
    };
    const died = deferred<string>();
    const late = await open(dead, died.resolve);
    t.equal(await died.promise, 'killed');
    await t.rejects(late.callTool(call('echo', {})), { code: 'ERR_SANDBOX', message: /killed/ });

    const host = new TestHost();
    const ended = deferred<string>();
    const connection = await open(host, ended.resolve);
    await t.rejects(connection.callTool(call('nope', {})), { code: 'ERR_MCP' });
    const running = connection.callTool(call('wait', { key: 'k' }));
    await host.box.started('k');
    host.servers[0]!.exit(137, 'out of memory');
    await t.rejects(running, { code: 'ERR_SANDBOX' });
    t.equal(await ended.promise, 'out of memory');
    await t.rejects(connection.callTool(call('echo', { text: 'a' })), { code: 'ERR_SANDBOX' });

    const cut = await open(host);
    const inTheMiddle = cut.callTool(call('wait', { key: 'l' }));
    await host.box.started('l');
    await host.servers[1]!.close(); // as the docker thread does when it dies
    await t.rejects(inTheMiddle, { code: 'ERR_SANDBOX', message: /connection .* was lost .* may have run in part/ });
  },
);

void t.test('a sandbox with earlier clients gets request ids of a generation of its own', async (t) => {
  const host = new TestHost();
  const lease = host.lease.bind(host);
  host.lease = async (request) => ({ ...(await lease(request)), generation: 3 });
  const connection = await open(host);
  t.teardown(() => connection.close());
  const old = { jsonrpc: '2.0', id: 'g2-0', result: { content: [{ type: 'text', text: 'not for you' }] } };
  const running = connection.callTool(call('wait', { key: 'k' }));
  await host.box.started('k');
  host.servers[0]!.stdout(`${JSON.stringify(old)}\n${JSON.stringify({ ...old, id: 0 })}\n`);
  t.match(await connection.callTool(call('echo', { text: 'a' })), { content: [{ text: 'echo: a' }] });
  host.box.finish('k');
  t.notMatch(await running, { content: [{ text: 'not for you' }] });
});

function makeSandboxes(host: SandboxHost, hibernateAfterMs = 300_000, silenceMs = 30_000): SessionSandboxes {
  registry.removeSingleMetric('fairlead_agent_sandboxes'); // each real agent thread has a registry of its own
  const news = new SessionTools({ timeoutMs: 10_000, shared: 'all', log });
  return new SessionSandboxes({
    host,
    config: parseConfig({ sandbox: { hibernateAfterMs }, mcp: { silenceMs } }, {}),
    shared: 'all',
    sessionTools: news,
    log,
  });
}

void t.test('concurrent callers of one session share one start; sessions and servers do not share', async (t) => {
  const host = new TestHost();
  const sandboxes = makeSandboxes(host);
  t.teardown(() => Promise.all(['s-1', 's-2'].map((session) => sandboxes.releaseSession(session))));
  const [a, b, c, d] = await Promise.all([
    sandboxes.get({ session: 's-1', user: 'u' }, 'one'),
    sandboxes.get({ session: 's-1', user: 'u' }, 'one'),
    sandboxes.get({ session: 's-1', user: 'u' }, 'two'),
    sandboxes.get({ session: 's-2', user: 'u' }, 'one'),
  ]);
  t.equal(a, b);
  t.equal(new Set([a, c, d]).size, 3);
  t.same(host.leases, ['s-1 one', 's-1 two', 's-2 one']);
});

void t.test('a failed start and an ended sandbox are forgotten', async (t) => {
  const host = new TestHost();
  const sandboxes = makeSandboxes(host);
  t.teardown(() => sandboxes.releaseSession('s-1'));
  const lease = host.lease.bind(host);
  host.lease = () => Promise.reject(new FairleadError('ERR_SANDBOX', 'no'));
  await t.rejects(sandboxes.get({ session: 's-1', user: 'u' }, 'one'), { code: 'ERR_SANDBOX' });
  host.lease = lease;
  const first = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  host.servers[0]!.exit(0, 'done');
  await host.servers[0]!.closed;
  await t.rejects(first.callTool(call('echo', { text: 'a' })), { code: 'ERR_SANDBOX' });
  t.not(await sandboxes.get({ session: 's-1', user: 'u' }, 'one'), first);
});

void t.test('releasing a session also releases what is still starting', async (t) => {
  const host = new TestHost();
  const gate = deferred<void>();
  host.before = () => gate.promise;
  const sandboxes = makeSandboxes(host);
  const starting = sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  const released = sandboxes.releaseSession('s-1');
  gate.resolve();
  await starting;
  await released;
  t.same(host.released, ['box-1']);
  await sandboxes.releaseSession('s-1');
  t.equal(host.released.length, 1);
});

void t.test('a server whose tool takes arguments apart from its schema’s says so in its own words', async (t) => {
  const host = new TestHost();
  host.make = () => {
    const server = new McpServer({ name: 'strict', version: '1' }, { capabilities: { tools: {} } });
    server.registerTool('n', { inputSchema: z.object({ n: z.number() }) }, async () => ({ content: [] }));
    return server;
  };
  const connection = await open(host);
  t.teardown(() => connection.close());
  const result = await connection.callTool(call('n', { n: 'x' })).catch((error: unknown) => error);
  t.ok(result instanceof FairleadError ? result.code === 'ERR_MCP' : (result as { isError?: boolean }).isError);
});

void t.test('a sandbox that no tool uses hibernates; the next call waits for that and gets another one', async (t) => {
  const host = new TestHost();
  const saving = deferred<undefined>();
  const begun = deferred<string>();
  host.onHibernate = (sandbox) => {
    begun.resolve(sandbox);
    return saving.promise;
  };
  const sandboxes = makeSandboxes(host, 1);
  t.teardown(() => sandboxes.releaseSession('s-1'));
  const first = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  t.equal(await begun.promise, first.sandbox);
  const next = Promise.all([
    sandboxes.get({ session: 's-1', user: 'u' }, 'one'),
    sandboxes.get({ session: 's-1', user: 'u' }, 'one'),
  ]);
  t.equal(host.leases.length, 1);
  saving.resolve(undefined);
  const [a, b] = await next;
  t.equal(a, b);
  t.not(a.sandbox, first.sandbox);
  t.same(host.hibernated, [first.sandbox]);
});

void t.test(
  'a sandbox in which a tool runs does not hibernate, and one that cannot be saved stays in use',
  async (t) => {
    const host = new TestHost();
    const tried = deferred<undefined>();
    host.onHibernate = async () => {
      tried.resolve(undefined);
      throw new FairleadError('ERR_SANDBOX', 'too large');
    };
    const sandboxes = makeSandboxes(host, 1);
    t.teardown(() => sandboxes.releaseSession('s-1'));
    const connection = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
    const running = connection.callTool(call('wait', { key: 'k' }));
    await host.box.started('k');
    t.equal(connection.idleMs, 0);
    host.box.finish('k');
    await running;
    await tried.promise;
    const again = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
    t.equal(again, connection);
    t.match(await again.callTool(call('echo', { text: 'a' })), { content: [{ type: 'text', text: 'echo: a' }] });
  },
);

void t.test('at the stop every workspace is saved as far as it can be', async (t) => {
  const host = new TestHost();
  const sandboxes = makeSandboxes(host, 0);
  await Promise.all([
    sandboxes.get({ session: 's-1', user: 'u' }, 'one'),
    sandboxes.get({ session: 's-2', user: 'u' }, 'one'),
  ]);
  host.onHibernate = async (sandbox) => {
    if (sandbox === 'box-2') throw new FairleadError('ERR_UNAVAILABLE', 'Docker is away');
  };
  t.same(await sandboxes.hibernateAll(), { hibernated: 1, failed: 1 });
  await sandboxes.disconnect();
});

void t.test('a call that comes while an idle sandbox is saved drops the save and keeps the sandbox', async (t) => {
  const host = new TestHost();
  const begun = deferred<undefined>();
  const save = new AbortController();
  host.onHibernate = () => {
    begun.resolve(undefined);
    return untilAborted(save.signal, () => new Promise<void>(() => undefined));
  };
  host.onKeep = () => save.abort(new FairleadError('ERR_CANCELLED', 'its session wants it'));
  const sandboxes = makeSandboxes(host, 1);
  t.teardown(() => sandboxes.releaseSession('s-1'));
  const first = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  await begun.promise;
  t.equal(await sandboxes.get({ session: 's-1', user: 'u' }, 'one'), first);
  t.same(host.kept, [first.sandbox]);
});

void t.test('a server that does not answer, not even a ping, is replaced, and its call says so at once', async (t) => {
  const host = new TestHost();
  const sandboxes = makeSandboxes(host, 0, 300);
  t.teardown(() => sandboxes.releaseSession('s-1'));
  const first = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  host.servers[0]!.stop();
  await t.rejects(first.callTool(call('echo', { text: 'a' })), {
    code: 'ERR_SANDBOX',
    message: /does not answer; the sandbox is replaced, and the next call gets a fresh one with its files/,
  });
  t.match(host.replaced, [{ sandbox: first.sandbox, discard: false }]);
  const next = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  t.match(await next.callTool(call('echo', { text: 'a' })), { content: [{ text: 'echo: a' }] });
});

void t.test('a server that does not answer and cannot be saved stays, and the call says why', async (t) => {
  const host = new TestHost();
  host.onReplace = () => Promise.reject(new FairleadError('ERR_SANDBOX', 'the disk is full'));
  const sandboxes = makeSandboxes(host, 0, 300);
  t.teardown(() => sandboxes.releaseSession('s-1'));
  const first = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  host.servers[0]!.stop();
  await t.rejects(first.callTool(call('echo', { text: 'a' })), {
    code: 'ERR_SANDBOX',
    message: /could not be saved, so it stays: the disk is full/,
  });
  t.equal(await sandboxes.get({ session: 's-1', user: 'u' }, 'one'), first);
});

void t.test('a tool that takes long is left alone while its server answers pings', async (t) => {
  const host = new TestHost();
  const sandboxes = makeSandboxes(host, 0, 100);
  t.teardown(() => sandboxes.releaseSession('s-1'));
  const connection = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  const running = connection.callTool(call('wait', { key: 'k' }));
  await host.box.started('k');
  await host.servers[0]!.pinged(3);
  host.box.finish('k');
  t.match(await running, { content: [{ text: 'done k' }] });
  t.same(host.replaced, []);
});

void t.test('a call over its time limit asks for a sign of life before it gives up', async (t) => {
  const host = new TestHost();
  const sandboxes = makeSandboxes(host, 0, 60_000);
  t.teardown(() => sandboxes.releaseSession('s-1'));
  const connection = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  const slow = connection.callTool({ ...call('wait', { key: 'k' }), timeoutMs: 200 });
  await t.rejects(slow, { code: 'ERR_MCP', message: /did not answer within 200 ms$/ });
  t.same(host.replaced, []);
});

void t.test('a restart saves and ends all sandboxes of a session, and the next call gets another one', async (t) => {
  const host = new TestHost();
  const sandboxes = makeSandboxes(host, 0);
  t.teardown(() => sandboxes.releaseSession('s-1'));
  const first = await sandboxes.get({ session: 's-1', user: 'u' }, 'one');
  t.equal(await sandboxes.restart('s-1', 'the user wants it', false), 1);
  t.match(host.replaced, [{ sandbox: first.sandbox, reason: 'the user wants it' }]);
  t.not(await sandboxes.get({ session: 's-1', user: 'u' }, 'one'), first);
  t.equal(await sandboxes.restart('s-none', 'the user wants it', false), 0);
});
