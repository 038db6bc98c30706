/** Measures files in and out of a workspace: what the server needs for them, and how fast they are beside `docker cp`. */
import { execFile } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { Files } from '../../src/client/files.js';
import { Fairlead } from '../../src/client/node.js';
import { docker as dockerApi, dockerHost, WORKSPACE_IMAGE } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { Parts, timed } from '../shared/work.js';
import { rssBytes } from '../suite/proc.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';

const MIB = 1_048_576;
const SHORT = { mib: 128 };
const FULL = { mib: 1_024 };
const AIM_MIB = 32;
const SAMPLE_MS = 50;
const run = promisify(execFile);

export const bench: Bench = {
  name: 'files',
  question: 'What do large files in and out of a workspace cost, and how fast are they?',
  run: async (context) => {
    const parts = new Parts();
    try {
      return await measure(context.full ? FULL : SHORT, parts, context);
    } finally {
      await parts.close();
    }
  },
};

interface Measured {
  what: string;
  seconds: number;
  /** Highest RSS of the server meanwhile, less that before. */
  growthBytes: number;
}

async function measure(sizes: typeof SHORT, parts: Parts, { signal, progress }: BenchContext): Promise<Findings> {
  progress('starting a server', 0);
  const folder = await parts.open(mkdtemp(join(tmpdir(), 'fl-bench-files-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const local = join(folder, 'data.bin');
  await fill(local, sizes.mib);
  const engine = await parts.open(start(sizes.mib), (server) => server.stop());
  const { session } = await new Fairlead({ url: engine.url }).createSession();
  const files = new Files({ url: engine.url, session });
  // Once each way, so that nothing is measured that happens only the first time.
  await files.write('warm', randomBytes(MIB));
  await drain(await files.read('warm'));
  const docker = async (...args: string[]): Promise<string> =>
    (await run('docker', args, { env: { ...process.env, DOCKER_HOST: dockerHost() }, signal })).stdout.trim();
  // A plain one: `docker cp` refuses a sandbox, whose root file system is read-only.
  const container = await parts.open(docker('create', WORKSPACE_IMAGE), (id) => removed(id));

  const measured: Measured[] = [];
  const step = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    signal.throwIfAborted();
    progress(what, 0.1 + measured.length * 0.18);
    measured.push({ what, ...(await watched(engine, work)) });
  };
  await step('upload', () => upload(files, local, sizes.mib * MIB));
  await step('download', async () => drain(await files.read('data.bin')));
  await step('archive (tar.gz)', async () => drain(await files.archive()));
  await files.remove('data.bin');
  await step('docker cp, in', () => docker('cp', local, `${container}:/data.bin`));
  await step('docker cp, out', () => docker('cp', `${container}:/data.bin`, join(folder, 'out.bin')));
  return findingsOf(sizes, measured);
}

async function removed(id: string): Promise<void> {
  await dockerApi().getContainer(id).remove({ force: true });
}

function start(mib: number): Promise<Engine> {
  return startEngine({
    config: {
      sandbox: {
        driver: 'docker',
        workspaceMb: mib * 2,
        memoryMb: mib * 6 + 512,
        pool: { min: 1, max: 1 },
        hibernateAfterMs: 0,
      },
    },
    env: { REDIS_URL: '', DOCKER_HOST: dockerHost() },
  });
}

/** What does not compress. */
async function fill(path: string, mib: number): Promise<void> {
  const handle = await open(path, 'w');
  const piece = randomBytes(MIB);
  for (let at = 0; at < mib; at++) await handle.write(piece);
  await handle.close();
}

async function upload(files: Files, path: string, size: number): Promise<void> {
  const handle = await open(path);
  try {
    const body = ReadableStream.from(handle.createReadStream({ autoClose: false, highWaterMark: 262_144 }));
    await files.write('data.bin', body as ReadableStream<Uint8Array>, { size });
  } finally {
    await handle.close();
  }
}

async function drain({ body }: { body: ReadableStream<Uint8Array> }): Promise<void> {
  for await (const _chunk of body);
}

async function watched({ pid }: Engine, work: () => Promise<unknown>): Promise<Omit<Measured, 'what'>> {
  const before = await rssBytes(pid);
  let most = before;
  const look = async (): Promise<void> => void (most = Math.max(most, await rssBytes(pid)));
  const timer = setInterval(() => void look(), SAMPLE_MS);
  try {
    const ms = await timed(work);
    await look();
    return { seconds: ms / 1_000, growthBytes: most - before };
  } finally {
    clearInterval(timer);
  }
}

function findingsOf(sizes: typeof SHORT, measured: readonly Measured[]): Findings {
  const of = (what: string): Measured => measured.find((each) => each.what === what)!;
  const growth = ['upload', 'download', 'archive (tar.gz)'].map((what) => of(what).growthBytes / MIB);
  const rate = (what: string): number => sizes.mib / of(what).seconds;
  return {
    settings: { ...sizes },
    ratios: [
      {
        id: 'files-rss',
        name: 'growth of the server’s memory in an upload or a download, at most',
        value: Math.max(growth[0]!, growth[1]!),
        unit: 'MiB',
        better: 'lower',
        aim: AIM_MIB,
      },
      {
        id: 'files-rss-archive',
        name: 'growth of the server’s memory while an archive is made',
        value: growth[2]!,
        unit: 'MiB',
        better: 'lower',
        aim: AIM_MIB,
      },
      {
        id: 'files-up',
        name: 'upload: MiB a second, relative to docker cp',
        value: rate('upload') / rate('docker cp, in'),
        unit: '×',
        better: 'higher',
      },
      {
        id: 'files-down',
        name: 'download: MiB a second, relative to docker cp',
        value: rate('download') / rate('docker cp, out'),
        unit: '×',
        better: 'higher',
      },
    ],
    tables: [
      {
        title: 'Each way',
        head: ['', 'seconds', 'MiB a second', 'growth, MiB'],
        rows: measured.map(({ what, seconds, growthBytes }) => [
          what,
          seconds,
          sizes.mib / seconds,
          what.startsWith('docker') ? '' : growthBytes / MIB,
        ]),
      },
    ],
    plots: [],
    doubts: [],
  };
}
