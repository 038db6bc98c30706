/** A data folder as a server leaves it, and the commands on it as an operator calls them. */
import { spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pack, type Header } from 'tar-stream';
import type { Test } from 'tap';
import { Progress } from '../../../../src/cli/backup/progress.js';
import { restore } from '../../../../src/cli/backup/restore.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { openLmdbStore } from '../../../../workers/agent/store/lmdb-store.js';
import { CLI } from '../../../helpers/engine.js';
import { auditKit, message } from '../../audit/audit-kit.js';
import { events, LIMITS, newRow, OWNER, say } from '../../../workers/agent/store/store-backend.js';

export const INSTANCE = '0123456789abcdef';
/** A disk that is shared with other tests may need it. */
const DEADLINE_MS = 240_000;

export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export function tempDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'fl-backup-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** `fairlead ARGS` of this shell; `kill` ends it as a power failure would. */
export function start(dataDir: string, args: readonly string[], env: Record<string, string> = {}) {
  const [command = '', ...rest] = args;
  const isVerify = command === 'backup' && rest[0] === 'verify';
  const child = spawn(process.execPath, [CLI, command, ...(isVerify ? [] : ['--shell']), ...rest], {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'] ?? '', HOME: tmpdir(), FAIRLEAD_DATA: dataDir, ...env },
    signal: AbortSignal.timeout(DEADLINE_MS),
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const outcome = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (outcome.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (outcome.stderr += text));
  const ended = once(child, 'close').then(([code, signal]): Outcome => {
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, ...outcome };
  });
  return { ended, kill: () => child.kill('SIGKILL') };
}

export function fairlead(dataDir: string, args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  return start(dataDir, args, env).ended;
}

/** As `fairlead restore`, without a process for it. */
export async function restoreHere(dataDir: string, file: string): Promise<{ code: number; stderr: string }> {
  const env = { FAIRLEAD_DATA: dataDir };
  const progress = new Progress({ write: () => undefined });
  const { signal } = new AbortController();
  try {
    await restore({ file, force: false, store: true, shell: true, unit: '', env, cwd: tmpdir(), progress, signal });
    return { code: 0, stderr: '' };
  } catch (error) {
    if (!(error instanceof FairleadError)) throw error; // it would show a stack
    return { code: 1, stderr: error.message };
  }
}

/** With a store of one session, an archive, the records of a lease, an audit log and keys. */
export async function makeData(
  t: Test,
  dataDir = join(tempDir(t), 'data'),
): Promise<{ dataDir: string; session: string }> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const row = newRow();
  const store = await openLmdbStore(join(dataDir, 'store'), { owner: OWNER, limits: LIMITS });
  await store.createSession(row);
  await store.commit(row.session, { events: events(1, 3), messages: [say('remember me')] });
  await store.close();
  const files: Record<string, string> = {
    instance: `${INSTANCE}\n`,
    token: 'flt_secret\n',
    'browser-key': 'a key\n',
    'mcp-pins.json': '{}\n',
    [`workspaces/${row.session}~workspace.tar.lz4`]: 'an archive',
    [`workspaces/${row.session}~workspace.tar.lz4.tmp`]: 'being written',
    [`saved/${row.session}~workspace`]: '',
    'leases/fl-1': '{"session":"s"}',
    'leases/fl-2~new': 'being written',
    'losses/l1': '{}',
    'tools/cache': 'not ours',
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dataDir, path, '..'), { recursive: true });
    writeFileSync(join(dataDir, path), text, { mode: 0o600 });
  }
  const writer = auditKit(t, dataDir).open();
  for (let n = 1; n <= 5; n++) writer.post(message(n));
  await writer.close();
  return { dataDir, session: row.session };
}

/** Resolves when there is a name in the folder that ends so. */
export async function appears(folder: string, ending: string): Promise<void> {
  const watcher = watch(folder, { persistent: false });
  try {
    const changes = on(watcher, 'change');
    while (!readdirSync(folder).some((name) => name.endsWith(ending))) await changes.next();
  } finally {
    watcher.close();
  }
}

/** Path → bytes, of all files. */
export function contents(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true }) as string[];
  const files = names.filter((name) => statSync(join(folder, name)).isFile()).sort();
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(folder, name), 'base64')]));
}

export async function historyOf(dataDir: string, session: string): Promise<string> {
  const store = await openLmdbStore(join(dataDir, 'store'), { owner: OWNER, limits: LIMITS });
  try {
    return JSON.stringify(await store.readHistory(session));
  } finally {
    await store.close();
  }
}

/** A file as somebody else would make it. */
export async function tarOf(...entries: (Partial<Header> & { name: string; text?: string })[]): Promise<Buffer> {
  const tar = pack();
  for (const { text = '', ...header } of entries) {
    if (header.type === undefined || header.type === 'file') tar.entry(header, text);
    else tar.entry({ ...header, size: 0 });
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}
