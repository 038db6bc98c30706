/** A dockerd of the tests' own: its folder, its socket, no network set-up; leaves nothing behind. Needs root. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { docker } from './docker.js';
import { eachLine, stopChild, Tail, watchExit, within } from './processes.js';

const START_MS = 60_000;
const STOP_MS = 30_000;
const POLL_MS = 100;
/** A unix socket's path ends at 107 bytes, and containerd's lies four folders below ours. */
const MAX_FOLDER_BYTES = 50;

export interface TestDockerd {
  /** For DOCKER_HOST. */
  readonly host: string;
  readonly pid: number;
  /** Removes its containers, ends it, unmounts and removes its folder. Idempotent. */
  stop(): Promise<void>;
}

export async function startDockerd({ liveRestore = false } = {}): Promise<TestDockerd> {
  const parent = Buffer.byteLength(tmpdir()) > MAX_FOLDER_BYTES ? '/tmp' : tmpdir();
  const folder = await mkdtemp(join(parent, 'fld-'));
  const host = `unix://${folder}/s`;
  const config = join(folder, 'daemon.json');
  await writeFile(config, '{}'); // the machine's own daemon.json may name a socket or a data folder
  const args = ['--config-file', config, '--host', host, '--pidfile', join(folder, 'pid')];
  args.push('--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'));
  args.push('--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-masq=false', '--ip-forward=false');
  if (liveRestore) args.push('--live-restore');
  // Its own process group: a Ctrl-C in the terminal must reach the test command first, which then ends it in order.
  // In a network of its own: with --bridge=none a dockerd removes docker0, and that would be the machine's.
  const child = spawn('unshare', ['--net', 'dockerd', ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const exited = watchExit(child);
  const tail = new Tail();
  eachLine(child.stdout, (line) => tail.push(line));
  eachLine(child.stderr, (line) => tail.push(line));

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) await removeContainers(docker(host));
    await stopChild(child, exited, STOP_MS);
    await unmountBelow(folder);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };

  const gone = exited.then((exit): never => {
    throw new Error(`dockerd ended with ${exit.code ?? exit.signal}:\n${tail.toString()}`);
  });
  gone.catch(() => undefined); // after its first answer, a test that needs it reports its end
  const starting = new AbortController();
  try {
    await within(
      Promise.race([answers(docker(host), starting.signal), gone]),
      START_MS,
      () => `dockerd did not answer within ${START_MS / 1000} s:\n${tail.toString()}`,
    );
  } catch (error) {
    child.kill('SIGKILL');
    await exited.catch(() => undefined); // a dockerd that is not there has been told of by `gone`
    await unmountBelow(folder);
    await rm(folder, { recursive: true, force: true });
    throw error;
  } finally {
    starting.abort();
  }
  return { host, pid: child.pid ?? 0, stop: () => (stopping ??= stop()) };
}

/** Resolves with the first answer to a ping; a refused connection is asked again until the caller's deadline. */
async function answers(engine: Docker, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await engine.ping();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS)); // it is not there yet
    }
  }
}

async function removeContainers(engine: Docker): Promise<void> {
  const containers = await engine.listContainers({ all: true });
  // A container that is being removed answers 404 or 409; the end of dockerd takes the rest.
  await Promise.allSettled(containers.map(({ Id }) => engine.getContainer(Id).remove({ force: true, v: true })));
}

/** Deepest first: an overlay inside the data folder holds the folder itself. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${folder}/`));
  for (const path of mounts.toReversed()) spawnSync('umount', ['-l', path], { stdio: 'ignore' });
}
