/**
 * How long do hibernating a sandbox and bringing it back take, and what of it stays in the server's memory?
 * Usage: node dist/bench/restore.js [--files 1000] [--megabytes 10] [--rounds 5] [--sessions 100]; beside dockerd.
 * Against a bare exec of tar by dockerode, with no compression, checksum or disk, in turn in the same run.
 */
import { parseArgs } from 'node:util';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dockerClient } from '../src/shared/docker-client.js';
import { createLog } from '../src/shared/log.js';
import { dockerHost, WORKSPACE_IMAGE } from '../test/helpers/docker.js';
import { Archives } from '../workers/docker/archive/archives.js';
import { demux } from '../workers/docker/driver/demux.js';
import { DockerDriver } from '../workers/docker/driver/docker-driver.js';
import type { RunningSandbox } from '../workers/docker/driver/driver.js';
import { WarmServer } from '../workers/docker/pool/warm-server.js';
import { memoryPerHibernated } from './hibernated-memory.js';
import { machine } from './machine.js';
import { benchConfig, median, table, times, untilInterrupted } from './report.js';
import { workspaceTar } from './workspace-tar.js';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '1000' },
    megabytes: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '5' },
    sessions: { type: 'string', default: '100' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`Usage: node dist/bench/restore.js [options]; beside dockerd

  --files N      in the workspace (1000)
  --megabytes N  all files together (10)
  --rounds N     of hibernating and bringing back (5); 0 = only the memory
  --sessions N   hibernated, one after another, for the memory that stays (100); 0 = only the times`);
  process.exit(0);
}
const [files, megabytes, rounds, sessions] = [values.files, values.megabytes, values.rounds, values.sessions].map(
  Number,
) as [number, number, number, number];
const SERVER = 'workspace';
const MAX_BYTES = 1_073_741_824;

const stopping = untilInterrupted();
const folder = await mkdtemp(join(tmpdir(), 'fl-bench-'));
const log = createLog('bench', 'warn');
const instance = `bench-${randomUUID()}`;
const config = benchConfig(folder, {});
const driver = new DockerDriver(config, instance, log);
const docker = dockerClient(dockerHost());
const archives = new Archives({ folder: join(folder, 'workspaces'), maxBytes: MAX_BYTES, timeoutMs: 60_000, log });

/** ReadySandbox, as one from the shelf is: a server that still boots would take half of its container's CPU from tar. */
async function startSandbox(): Promise<RunningSandbox> {
  const name = `fairlead-${instance}-${randomUUID().slice(0, 8)}`;
  const sandbox = await driver.start({ name, server: SERVER, image: WORKSPACE_IMAGE, env: {}, signal: stopping });
  await WarmServer.open(sandbox, { server: SERVER, capabilities: {}, timeoutMs: 60_000 });
  return sandbox;
}

/** Runs tar in the container: feeds it `input`, reads what it writes; resolves when it has ended. */
async function bareTar(sandbox: RunningSandbox, options: readonly string[], input?: Buffer): Promise<void> {
  const exec = await docker.getContainer(sandbox.id).exec({
    Cmd: ['tar', '-C', '/workspace', ...options],
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
  });
  const socket = await exec.start({ hijack: true, stdin: true });
  const { stdout, stderr, ended } = demux(socket);
  stdout.resume();
  stderr.resume();
  socket.end(input);
  await ended;
  const { ExitCode } = await exec.inspect();
  if (ExitCode !== 0) throw new Error(`tar ended with ${ExitCode}`);
}

async function ms(work: () => Promise<unknown>): Promise<number> {
  stopping.throwIfAborted();
  const before = performance.now();
  await work();
  return performance.now() - before;
}

function row(name: string, all: number[], bare: number[]): string[] {
  return [name, median(all).toFixed(0), Math.max(...all).toFixed(0), times(median(all) / median(bare))];
}

async function compareTimes(): Promise<void> {
  const tar = await workspaceTar(files, megabytes * 1_000_000);
  const took = { bareIn: [] as number[], bareOut: [] as number[], save: [] as number[], restore: [] as number[] };
  const empty: number[] = [];
  let bytes = 0;
  for (let round = -1; round < rounds; round++) {
    const session = randomUUID();
    const [full, fresh, untouched] = await Promise.all([startSandbox(), startSandbox(), startSandbox()]);
    const one = {
      bareIn: await ms(() => bareTar(full, ['-xof', '-'], tar)),
      bareOut: await ms(() => bareTar(full, ['-cf', '-', '.'])),
      save: await ms(async () => {
        const saved = await archives.save(session, SERVER, full);
        if (saved.files !== files) throw new Error(`${saved.files} files were saved`);
        ({ bytes } = saved);
      }),
      restore: await ms(() => archives.restore(session, SERVER, fresh)),
    };
    const emptyMs = await ms(() => archives.save(session, SERVER, untouched));
    await Promise.all([full, fresh, untouched].map((sandbox) => sandbox.destroy()));
    if (round < 0) continue; // warms up both
    took.bareIn.push(one.bareIn);
    took.bareOut.push(one.bareOut);
    took.save.push(one.save);
    took.restore.push(one.restore);
    empty.push(emptyMs);
  }
  console.log(
    `${files} files, ${megabytes} MB, tar ${tar.length} bytes, archive ${bytes} bytes; ${rounds} rounds; ms\n`,
  );
  console.log(
    table(
      ['', 'median', 'most', 'of bare'],
      [
        row('bare: exec tar, packed and read', took.bareOut, took.bareOut),
        row('hibernate: packed, compressed, checked, on disk', took.save, took.bareOut),
        row('hibernate an empty one', empty, took.bareOut),
        row('bare: exec tar, unpacked', took.bareIn, took.bareIn),
        row('restore: read, checked, unpacked', took.restore, took.bareIn),
      ],
    ),
  );
}

try {
  console.log(machine());
  await archives.load();
  if (rounds > 0) await compareTimes();
  if (sessions > 0) console.log(await memoryPerHibernated({ sessions, folder, log, stopping }));
} finally {
  await driver.removeUnknown(() => false);
  await driver.close();
  await rm(folder, { recursive: true, force: true });
}
