/**
 * How much of the host's memory does a sandbox take that waits to be leased, and how soon does it answer?
 * Usage: node dist/bench/waiting-memory.js [--containers 20] [--image TAG]...; as root, on the host of dockerd.
 * Each is started, attached and greeted as the pool does it. In the same run: the image with node and an empty script
 * (the floor of any server in node), and busybox `cat` (the floor of any container).
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { pack } from 'tar-stream';
import { parseConfig } from '../src/shared/config.js';
import { createLog } from '../src/shared/log.js';
import { docker, dockerHost, WORKSPACE_IMAGE } from '../test/helpers/docker.js';
import { ECHO, makeTinyImage } from '../test/helpers/tiny-image.js';
import { DockerDriver } from '../workers/docker/driver/docker-driver.js';
import type { RunningSandbox } from '../workers/docker/driver/driver.js';
import { WarmServer } from '../workers/docker/pool/warm-server.js';
import { machine, percentile } from './machine.js';
import { containerBytes, type ContainerMemory } from './memory/proc.js';

const { values } = parseArgs({
  options: {
    containers: { type: 'string', default: '20' },
    image: { type: 'string', multiple: true, default: [WORKSPACE_IMAGE] },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`Usage: node dist/bench/waiting-memory.js [options]; as root, on the host of dockerd
  --containers N  how many wait at once, of each kind (20)
  --image TAG     what to measure; may be given several times (${WORKSPACE_IMAGE})`);
  process.exit(0);
}
const containers = Number(values.containers);
const TIMEOUT_MS = 60_000;
const LOOK_EVERY_MS = 1_000;
const LOOKS = 30;
const MIB = 1_048_576;

const instance = `bench-${randomUUID()}`;
const driver = new DockerDriver(parseConfig({}, { DOCKER_HOST: dockerHost() }), instance, createLog('bench', 'silent'));
const running = new Set<RunningSandbox>();
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());

/** Resolves when it waits, with the time of its first answer. */
type Greet = (sandbox: RunningSandbox) => Promise<number>;

/** One after another, so that the times are those of one start on an idle machine. */
async function measure(title: string, image: string, greet: Greet): Promise<void> {
  const createMs: number[] = [];
  const answerMs: number[] = [];
  for (let made = 0; made < containers; made++) {
    const name = `fairlead-${instance}-${made}`;
    const begun = performance.now();
    const sandbox = await driver.start({ name, server: 'workspace', image, env: {}, signal: stopping.signal });
    running.add(sandbox);
    const started = performance.now();
    answerMs.push((await greet(sandbox)) - started);
    createMs.push(started - begun);
  }
  const memory = await settledMemory([...running].map(({ id }) => id));
  const cells = [memory.pss, memory.anonymous, memory.shims, memory.kernel].map((bytes) => bytes / containers / MIB);
  const times = [percentile(createMs, 50), percentile(answerMs, 50), percentile(answerMs, 99)];
  const row = [...cells.map((mib) => mib.toFixed(2)), ...times.map((ms) => ms.toFixed(0))];
  console.log(title.padEnd(30) + row.map((cell) => cell.padStart(11)).join(''));
  await removeAll();
}

async function removeAll(): Promise<void> {
  await Promise.all([...running].map((sandbox) => sandbox.destroy()));
  running.clear();
}

async function greetServer(sandbox: RunningSandbox): Promise<number> {
  const server = await WarmServer.open(sandbox, { server: 'workspace', capabilities: {}, timeoutMs: TIMEOUT_MS });
  const answeredAt = performance.now();
  await server.listTools(TIMEOUT_MS);
  if (!(await server.isAlive(TIMEOUT_MS))) throw new Error('no answer to ping');
  return answeredAt;
}

async function greetEcho(sandbox: RunningSandbox): Promise<number> {
  sandbox.stdin.write('hello\n');
  await once(sandbox.stdout, 'data', { signal: stopping.signal });
  return performance.now();
}

/** What a process gives back in its first seconds of rest is not waited for by a guess: until two looks are the same. */
async function settledMemory(ids: readonly string[]): Promise<ContainerMemory> {
  let last = await memoryOf(ids);
  for (let look = 0; look < LOOKS; look++) {
    await pause(LOOK_EVERY_MS, undefined, { signal: stopping.signal });
    const now = await memoryOf(ids);
    if (Math.abs(now.pss - last.pss) < last.pss / 1_000) return now;
    last = now;
  }
  throw new Error(`the memory still changes after ${LOOKS} s`);
}

async function memoryOf(ids: readonly string[]): Promise<ContainerMemory> {
  const looks = await Promise.all(ids.map((id) => docker().getContainer(id).inspect()));
  return await containerBytes(looks.map(({ State }) => State.Pid));
}

/** The image with another program in the place of its server. */
async function withEntryPoint(image: string, entryPoint: readonly string[]): Promise<string> {
  const tag = `fairlead-bench:${randomUUID()}`;
  const context = pack();
  context.entry({ name: 'Dockerfile' }, `FROM ${image}\nENTRYPOINT ${JSON.stringify(entryPoint)}\n`);
  context.finalize();
  await buffer(await docker().buildImage(Readable.from(context, { objectMode: false }), { t: tag, forcerm: true }));
  return tag;
}

const [image = WORKSPACE_IMAGE] = values.image;
const bareNode = await withEntryPoint(image, ['node', '-e', "process.stdin.once('data', () => console.log('here'))"]);
const cat = await makeTinyImage(ECHO);
try {
  console.log(`${machine()}; ${containers} containers of each kind, MiB for one; ms at the median`);
  const head = ['processes', 'anonymous', 'its shim', 'kernel', 'create ms', 'answer ms', 'p99'];
  console.log(' '.repeat(30) + head.map((title) => title.padStart(11)).join(''));
  await measure('busybox cat', cat.tag, greetEcho);
  await measure('node, an empty script', bareNode, greetEcho);
  for (const tag of values.image) await measure(tag, tag, greetServer);
} catch (error) {
  if (!stopping.signal.aborted) throw error;
  process.exitCode = 130;
} finally {
  await removeAll();
  await driver.close();
  await cat.remove();
  await docker().getImage(bareNode).remove({ force: true });
}
