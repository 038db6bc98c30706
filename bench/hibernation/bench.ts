/** How long do hibernating a sandbox and restoring it take, and what stays in the server's memory? Compared with a bare exec of tar. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dockerClient } from '../../src/shared/docker-client.js';
import { createLog } from '../../src/shared/log.js';
import { commandUser, dockerHost, WORKSPACE_IMAGE } from '../../test/helpers/docker.js';
import { Archives } from '../../workers/docker/archive/archives.js';
import { demux } from '../../workers/docker/driver/demux.js';
import { DockerDriver } from '../../workers/docker/driver/docker-driver.js';
import type { RunningSandbox } from '../../workers/docker/driver/driver.js';
import { WarmServer } from '../../workers/docker/pool/warm-server.js';
import { median } from '../shared/figures.js';
import { benchConfig, Parts, timed } from '../shared/work.js';
import type { Bench, BenchContext, Findings, Table } from '../suite/bench.js';
import { hibernatedMemory, type HeapGrowth } from './memory.js';
import { workspaceTar } from './workspace-tar.js';

const SERVER = 'workspace';
const MAX_BYTES = 1_073_741_824;
const TIMEOUT_MS = 60_000;
const RESTORE_AIM_MS = 400;

const SHORT = { files: 1_000, megabytes: 10, rounds: 3, sessions: 40 };
const FULL = { files: 1_000, megabytes: 10, rounds: 8, sessions: 100 };
type Sizes = typeof SHORT;

export const bench: Bench = {
  name: 'hibernation',
  question: 'How long do saving a sandbox’s files and bringing them back take, and what stays in memory meanwhile?',
  run: async (context) => {
    const sizes = context.full ? FULL : SHORT;
    const parts = new Parts();
    try {
      const folder = await parts.open(mkdtemp(join(tmpdir(), 'fl-bench-')), (path) => rm(path, { recursive: true }));
      const times = await measureTimes(folder, sizes, parts, context);
      context.progress(`${sizes.sessions} sessions hibernate`, 0.5);
      const growth = await hibernatedMemory({ sessions: sizes.sessions, folder, signal: context.signal });
      return findingsOf(sizes, times, growth);
    } finally {
      await parts.close();
    }
  },
};

/** ms of each round. */
interface Times {
  packed: number[];
  unpacked: number[];
  saved: number[];
  savedEmpty: number[];
  restored: number[];
  archiveBytes: number;
}

async function measureTimes(
  folder: string,
  { files, megabytes, rounds }: Sizes,
  parts: Parts,
  { signal, progress }: BenchContext,
): Promise<Times> {
  const log = createLog('bench', 'warn');
  const instance = `bench-${randomUUID()}`;
  const driver = await parts.open(
    Promise.resolve(new DockerDriver(benchConfig(folder, {}), instance, log)),
    async (opened) => {
      await opened.removeUnknown(() => false);
      await opened.close();
    },
  );
  const archives = new Archives({
    folder: join(folder, 'workspaces'),
    maxBytes: MAX_BYTES,
    timeoutMs: TIMEOUT_MS,
    log,
  });
  await archives.load();
  /** With the handshake done, as in the warm pool: a server that still boots would take half of its container's CPU from tar. */
  const startSandbox = async (): Promise<RunningSandbox> => {
    const name = `fairlead-${instance}-${randomUUID().slice(0, 8)}`;
    const sandbox = await driver.start({ name, server: SERVER, image: WORKSPACE_IMAGE, env: {}, signal });
    await WarmServer.open(sandbox, { server: SERVER, capabilities: {}, timeoutMs: TIMEOUT_MS });
    return sandbox;
  };
  const tar = await workspaceTar(files, megabytes * 1_000_000);
  const times: Times = { packed: [], unpacked: [], saved: [], savedEmpty: [], restored: [], archiveBytes: 0 };
  for (let round = 0; round <= rounds; round++) {
    signal.throwIfAborted();
    progress(`round ${round} of ${rounds}: ${files} files, ${megabytes} MB`, (0.5 * round) / (rounds + 1));
    const session = randomUUID();
    const [full, fresh, empty] = await Promise.all([startSandbox(), startSandbox(), startSandbox()]);
    const unpacked = await timed(() => bareTar(full, ['-xof', '-'], tar));
    const packed = await timed(() => bareTar(full, ['-cf', '-', '.']));
    const saved = await timed(async () => {
      const archive = await archives.save(session, SERVER, full);
      if (archive.files !== files) throw new Error(`${archive.files} files were saved`);
      times.archiveBytes = archive.bytes;
    });
    const restored = await timed(() => archives.restore(session, SERVER, fresh));
    const savedEmpty = await timed(() => archives.save(session, SERVER, empty));
    await Promise.all([full, fresh, empty].map((sandbox) => sandbox.destroy()));
    if (round === 0) continue; // warms up both
    for (const [name, ms] of Object.entries({ packed, unpacked, saved, savedEmpty, restored })) {
      times[name as Exclude<keyof Times, 'archiveBytes'>].push(ms);
    }
  }
  return times;
}

/** Runs tar in the container with `input`, discards what it writes, and resolves when it has ended. No compression, checksum or disk. */
async function bareTar(sandbox: RunningSandbox, options: readonly string[], input?: Buffer): Promise<void> {
  const exec = await dockerClient(dockerHost())
    .getContainer(sandbox.id)
    .exec({
      Cmd: ['tar', '-C', '/workspace', ...options],
      User: await commandUser(sandbox.id),
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

function findingsOf(sizes: Sizes, times: Times, { data, code }: HeapGrowth): Findings {
  return {
    settings: { ...sizes, archiveBytes: times.archiveBytes },
    ratios: [
      {
        id: 'restore',
        name: `Restoring ${sizes.files.toLocaleString('en')} files (${sizes.megabytes} MB), p50`,
        value: median(times.restored),
        unit: 'ms',
        better: 'lower',
        aim: RESTORE_AIM_MS,
      },
      {
        id: 'restore-of-tar',
        name: 'Restoring, relative to unpacking with a bare tar',
        value: median(times.restored) / median(times.unpacked),
        unit: '×',
        better: 'lower',
      },
      {
        id: 'save-of-tar',
        name: 'Hibernating, relative to packing with a bare tar',
        value: median(times.saved) / median(times.packed),
        unit: '×',
        better: 'lower',
      },
      {
        id: 'heap',
        name: 'Heap of the docker thread that a hibernated session keeps',
        value: data / sizes.sessions,
        unit: 'bytes',
        better: 'lower',
      },
    ],
    tables: [
      {
        title: `${sizes.files} files, ${sizes.megabytes} MB`,
        head: ['', 'median ms', 'max ms', 'relative to bare tar'],
        rows: [
          row('bare tar: packed and read', times.packed, times.packed),
          row('hibernate: packed, compressed, checked, on disk', times.saved, times.packed),
          row('hibernate an empty workspace', times.savedEmpty, times.packed),
          row('bare tar: unpacked', times.unpacked, times.unpacked),
          row('restore: read, checked, unpacked', times.restored, times.unpacked),
        ],
      },
      {
        title: `Heap growth of the docker thread, ${sizes.sessions} hibernated sessions`,
        head: ['', 'bytes', 'bytes a session'],
        rows: [
          ['data', data, data / sizes.sessions],
          ['compiled code and V8’s own, which does not grow with sessions', code, code / sizes.sessions],
        ],
      },
    ],
    plots: [],
    doubts: [],
  };
}

function row(name: string, ms: readonly number[], bare: readonly number[]): Table['rows'][number] {
  return [name, median(ms), Math.max(...ms), median(ms) / median(bare)];
}
