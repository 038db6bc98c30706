import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { PassThrough, type Duplex } from 'node:stream';
import {
  Client,
  ReadBuffer,
  serializeMessage,
  type CallToolResult,
  type JSONRPCMessage,
  type Transport,
} from '@modelcontextprotocol/client';
import Docker from 'dockerode';
import t from 'tap';
import { buildImage } from '../../../../src/cli/image/image.js';
import { LABEL_RUNNER, LABEL_VERSION, SANDBOX_UID } from '../../../../src/shared/docker-client.js';
import { VERSION } from '../../../../src/shared/version.js';
import { docker } from '../../../helpers/docker.js';

const engine = docker();
const tag = `fairlead/workspace-test:${randomBytes(6).toString('hex')}`;
const derived = `${tag}-dockerfile`;
const lines: string[] = [];

t.before(async () => {
  await buildImage({ tag, local: true, docker: engine, log: (line) => lines.push(line) });
});
t.teardown(() => engine.getImage(tag).remove({ force: true }));

t.test('a local image has the label, the user and the entry point that the sandbox counts on', async (t) => {
  const { Config: config, Size: size } = await engine.getImage(tag).inspect();
  t.equal(config.Labels[LABEL_VERSION], VERSION);
  t.equal(config.User, `${SANDBOX_UID}:${SANDBOX_UID}`);
  t.equal(config.WorkingDir, '/workspace');
  const program = ['/opt/fairlead/ld', '/opt/fairlead/node', '--inspect-port=192.0.2.1:9229', '--v8-pool-size=0'];
  t.same(config.Entrypoint, [...program, '/opt/fairlead/workspace.cjs']);
  t.same(JSON.parse(config.Labels[LABEL_RUNNER] ?? ''), {
    entrypoint: config.Entrypoint,
    runner: [...program, '/opt/fairlead/runner.cjs'],
  });
  t.ok(size < 150e6, `${size} bytes`);
  t.ok(lines.length > 1, 'the build says what it does');
});

t.test('a hardened container of it serves its tools', async (t) => {
  const client = await connect(t, tag);
  t.equal((await client.listTools()).tools.length, 6);
  await call(client, 'write_file', { path: '/workspace/hello.txt', content: 'Hello\n' });
  t.match(
    text(await call(client, 'run_command', { command: 'id -u; cat hello.txt; ls /workspace | wc -l' })),
    '10001\nHello\n1\n',
  );
  const byName = await call(client, 'run_command', { command: 'echo named > /dev/stderr' });
  t.match(text(byName), '[stderr]\nnamed\n');
  const sealed = await call(client, 'run_command', { command: 'touch /opt/x; touch /etc/x; cat /proc/self/status' });
  t.match(text(sealed), /CapEff:\s+0000000000000000/);
  t.match(text(sealed), /NoNewPrivs:\s+1/);
  t.match(text(sealed), /Read-only file system/);
});

t.test('a full workspace is a clear error, and the file has its old content', async (t) => {
  const client = await connect(t, tag, { workspaceBytes: 1_048_576 });
  await call(client, 'write_file', { path: 'f', content: 'old' });
  const full = await call(client, 'write_file', { path: 'f', content: 'x'.repeat(2_000_000) });
  t.equal(full._meta?.['fairlead/error'], 'NO_SPACE');
  t.match(text(await call(client, 'read_file', { path: 'f' })), /^old$/);
  t.match(text(await call(client, 'list_files', {})), /^f \(3 bytes\)$/);
});

t.test('the Dockerfile builds the same sandbox on the base that it is given', async (t) => {
  // No registry is needed: the base is the local image, in the place of node:20-bookworm-slim.
  const base = `${tag}-base`;
  await engine.getImage(tag).tag({ repo: 'fairlead/workspace-test', tag: base.split(':')[1] ?? '' });
  t.teardown(() => engine.getImage(base).remove({ force: true }));
  // That base has the sandbox's unprivileged user set; the official one has root.
  const root = `${tag}-root`;
  const container = await engine.createContainer({ Image: base });
  await container.commit({
    repo: 'fairlead/workspace-test',
    tag: root.split(':')[1],
    changes: 'USER 0:0\nENTRYPOINT []',
  });
  await container.remove({ force: true });
  t.teardown(() => engine.getImage(root).remove({ force: true }));
  await buildImage({ tag: derived, local: false, base: root, docker: engine, log: () => undefined });
  t.teardown(() => engine.getImage(derived).remove({ force: true }));
  const client = await connect(t, derived);
  t.match(text(await call(client, 'run_command', { command: 'whoami; pwd' })), 'fairlead\n/workspace\n');
  const { Config: config } = await engine.getImage(derived).inspect();
  const { Config: local } = await engine.getImage(tag).inspect();
  t.same(config.Labels, local.Labels);
  t.same(config.Entrypoint, local.Entrypoint);
});

t.test('a Docker that does not answer, and a base that does not exist, are ERR_START', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  const away = new Docker({ protocol: 'http', host: '127.0.0.1', port });
  await t.rejects(buildImage({ tag, local: true, docker: away, log: () => undefined }), { code: 'ERR_START' });
  const base = 'fairlead/no-such-base:0';
  const build = buildImage({ tag: derived, local: false, base, docker: engine, log: () => undefined });
  await t.rejects(build, { code: 'ERR_START' });
});

interface Teardown {
  teardown: (fn: () => Promise<unknown>) => unknown;
}

/** As the docker thread runs it. */
async function connect(t: Teardown, image: string, { workspaceBytes = 67_108_864 } = {}): Promise<Client> {
  const container = await engine.createContainer({
    Image: image,
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      Tmpfs: {
        '/workspace': `rw,nosuid,nodev,size=${workspaceBytes},uid=${SANDBOX_UID},gid=${SANDBOX_UID},mode=0755`,
        '/tmp': 'rw,nosuid,nodev,size=67108864,mode=1777',
      },
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Init: true,
      Memory: 536_870_912,
      PidsLimit: 256,
      LogConfig: { Type: 'none', Config: {} },
    },
  });
  t.teardown(() => container.remove({ force: true }));
  const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  await container.start();
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new AttachTransport(stream));
  return client;
}

async function call(client: Client, name: string, args: Record<string, unknown>): Promise<CallToolResult> {
  return client.callTool({ name, arguments: args });
}

function text(result: CallToolResult): string {
  return result.content.map((block) => (block.type === 'text' ? block.text : '')).join('\n');
}

/** MCP over a container's attached stdio. */
class AttachTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly #stream: Duplex;
  readonly #buffer = new ReadBuffer();

  constructor(stream: NodeJS.ReadWriteStream) {
    this.#stream = stream as Duplex;
  }

  async start(): Promise<void> {
    const stdout = new PassThrough();
    engine.modem.demuxStream(this.#stream, stdout, new PassThrough().resume());
    stdout.on('data', (chunk: Buffer) => {
      this.#buffer.append(chunk);
      for (let next = this.#buffer.readMessage(); next !== null; next = this.#buffer.readMessage())
        this.onmessage?.(next);
    });
    this.#stream.once('close', () => this.onclose?.());
  }

  async send(message: JSONRPCMessage): Promise<void> {
    this.#stream.write(serializeMessage(message));
  }

  async close(): Promise<void> {
    this.#stream.destroy();
  }
}
