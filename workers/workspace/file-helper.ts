/**
 * Lists, reads, writes, moves and deletes files of the workspace for the docker thread. Runs in the sandbox, as the user of its
 * tools: whatever it says is no more than the sandbox's word. It is one program, handed over as text (`node -e`), so that it fits
 * every image that has Node: it imports Node's own modules alone.
 *
 * Paths are relative to the root, one character for each byte. It prints JSON, a line each, and the bytes of a file after its line.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { basename, dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';

interface Asked {
  root: string;
  op: 'list' | 'read' | 'write' | 'delete' | 'move' | 'archive';
  path: string;
  recursive?: boolean;
  after?: string;
  limit?: number;
  size?: number;
  to?: string;
  overwrite?: boolean;
  expect?: string;
}

type Stat = [type: string, size: number, mtimeMs: number, version: string];

interface Place {
  /** Absolute, without links before its last part. */
  real: string;
  stat: fs.BigIntStats | undefined;
}

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;
/** Uploads on their way are at the root, whatever folder they are for: so that those of a killed program are found. */
const UPLOAD = /^\.fairlead-upload-[\da-f]{16}$/;
const STALE_MS = 3_600_000;
/** Nobody asks or takes anything. */
const SILENT_MS = 120_000;
const PIECE_BYTES = 65_536;
const FRAME_HEADER_BYTES = 5;
const DATA = 0x44;
const COMMIT = 0x43;
const MAX_COMMIT_BYTES = 4_096;

class Fault extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const asked = JSON.parse(process.argv[1] ?? '{}') as Asked;
const bytes = (path: string): Buffer => Buffer.from(path, 'latin1');
const realpath = (path: string): string => fs.realpathSync.native(bytes(path), 'latin1' as BufferEncoding);
const lstat = (path: string): fs.BigIntStats | undefined =>
  fs.lstatSync(bytes(path), { bigint: true, throwIfNoEntry: false });
const errnoOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'IO';

const root = realpath(asked.root);
const absolute = (path: string): string => (path === '' ? root : `${root}/${path}`);
const isInside = (path: string): boolean => path === root || path.startsWith(`${root}/`);

let onQuit = (): void => undefined;
let heardAt = Date.now();

function quit(): never {
  onQuit();
  process.exit(0);
}

async function say(line: unknown): Promise<void> {
  await put(`${JSON.stringify(line)}\n`);
}

/** Resolves when it is taken. */
function put(piece: string | Buffer): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(piece, () => {
      heardAt = Date.now();
      resolve();
    });
  });
}

function statOf(stat: fs.BigIntStats): Stat {
  const type = stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'other';
  const { size, mtimeNs, ino } = stat;
  const version = `${size}.${mtimeNs / 1_000_000_000n}.${mtimeNs % 1_000_000_000n}.${ino}`;
  return [type, type === 'file' ? Number(size) : 0, Number(mtimeNs / 1_000_000n), version];
}

/** Follows links to where they lead, which must be inside. Of a path that is not there, the folders before it may be missing too. */
function locate(path: string): Place {
  const wanted = absolute(path);
  try {
    const real = realpath(wanted);
    if (!isInside(real)) throw new Fault('OUTSIDE');
    return { real, stat: fs.statSync(bytes(real), { bigint: true }) };
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  if (lstat(wanted)) throw new Fault('BROKEN_LINK');
  return { real: wanted, stat: undefined };
}

/** The entry itself: what a link leads to is not asked. */
function entry(path: string): Place {
  if (path === '') throw new Fault('ROOT');
  const parent = realpath(dirname(absolute(path)));
  if (!isInside(parent)) throw new Fault('OUTSIDE');
  const real = `${parent}/${basename(path)}`;
  return { real, stat: lstat(real) };
}

/** Makes the folders that are missing before it. */
function makeRoom(path: string): Place {
  if (path === '') throw new Fault('ROOT');
  let at = root;
  for (const name of path.split('/').slice(0, -1)) {
    const next = `${at}/${name}`;
    try {
      at = realpath(next);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      if (lstat(next)) throw new Fault('BROKEN_LINK');
      fs.mkdirSync(bytes(next));
      at = next;
    }
    if (!isInside(at)) throw new Fault('OUTSIDE');
    if (!fs.statSync(bytes(at)).isDirectory()) throw new Fault('NOT_A_FOLDER');
  }
  return { real: `${at}/${basename(path)}`, stat: undefined };
}

async function list({ path, recursive = false, after, limit = 0 }: Asked): Promise<void> {
  const { real, stat } = locate(path);
  if (!stat) throw new Fault('ENOENT');
  if (!stat.isDirectory()) throw new Fault('NOT_A_FOLDER');
  const prefix = path === '' ? '' : `${path}/`;
  const from = after?.startsWith(prefix) === true ? after.slice(prefix.length).split('/') : [];
  let left = limit;
  let lines: string[] = [];
  for (const [name, found] of entriesIn(real, recursive, from)) {
    if (left-- === 0) {
      lines.push('{"more":true}\n');
      break;
    }
    lines.push(`${JSON.stringify([prefix + name, ...statOf(found)])}\n`);
    if (lines.length < 100) continue;
    await put(lines.join(''));
    lines = [];
  }
  lines.push('{"end":true}\n');
  await put(lines.join(''));
}

/** In the order of names, by their bytes; what is in a folder comes right after it. `from`: names up to this path are left out. */
function* entriesIn(
  folder: string,
  recursive: boolean,
  from: readonly string[],
  onClosed?: (folder: string, code: string) => void,
): Generator<[string, fs.BigIntStats]> {
  const [first, ...rest] = from;
  for (const name of namesIn(folder).toSorted((one, other) => (one < other ? -1 : 1))) {
    if (first !== undefined && name < first) continue;
    if (folder === root && UPLOAD.test(name)) continue;
    const path = `${folder}/${name}`;
    const stat = lstat(path);
    if (!stat) continue;
    const isBefore = name === first;
    if (!isBefore) yield [name, stat];
    if (!recursive || !stat.isDirectory()) continue;
    try {
      const inside = entriesIn(path, true, isBefore ? rest : [], onClosed);
      for (const [below, found] of inside) yield [`${name}/${below}`, found];
    } catch (error) {
      // It has gone meanwhile, or is closed: its own line says that it is there.
      if (!['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error))) throw error;
      onClosed?.(path, errnoOf(error));
    }
  }
}

function namesIn(folder: string): string[] {
  return fs.readdirSync(bytes(folder), { encoding: 'latin1' as BufferEncoding });
}

/** Without following a link, or waiting for a pipe. Who swaps a folder for a link meanwhile gains nothing. */
function openInside(path: string, flags: number, mode?: number): number {
  const handle = fs.openSync(bytes(path), flags | O_NOFOLLOW | O_NONBLOCK, mode);
  try {
    const link = process.platform === 'linux' ? `/proc/self/fd/${handle}` : undefined;
    if (link && !isInside(fs.readlinkSync(link, 'latin1' as BufferEncoding))) throw new Fault('OUTSIDE');
    if (!fs.fstatSync(handle).isFile()) throw new Fault('NOT_A_FILE');
    return handle;
  } catch (error) {
    fs.closeSync(handle);
    throw error;
  }
}

/** The range comes as a line when the caller knows what the file is. */
async function read({ path }: Asked): Promise<void> {
  const { real, stat } = locate(path);
  if (!stat) throw new Fault('ENOENT');
  if (stat.isDirectory()) throw new Fault('IS_A_FOLDER');
  if (!stat.isFile()) throw new Fault('NOT_A_FILE');
  const handle = openInside(real, O_RDONLY);
  const range = line(); // before the caller can send it
  await say({ stat: statOf(fs.fstatSync(handle, { bigint: true })) });
  const { from, length } = JSON.parse(await range) as { from: number; length: number };
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  for (let left = length; left > 0;) {
    const count = fs.readSync(handle, piece, 0, Math.min(left, PIECE_BYTES), from + length - left);
    if (count === 0) process.exit(1); // it is shorter now: what was sent is no whole
    await put(piece.subarray(0, count));
    await setImmediate(); // else nobody hears that the caller has gone
    left -= count;
  }
}

/** One line of input. The end of the input is the end of the program. */
function line(): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const take = (chunk: Buffer): void => {
      heardAt = Date.now();
      text += chunk.toString('latin1');
      if (!text.includes('\n') && text.length < MAX_COMMIT_BYTES) return;
      process.stdin.off('data', take);
      resolve(text);
    };
    process.stdin.on('data', take);
  });
}

/**
 * Frames of a byte for their kind, four for their length, and content: data, then one that commits. Without it the file keeps
 * what it has.
 */
async function write({ path, size }: Asked): Promise<void> {
  removeStale();
  const before = locate(path);
  if (before.stat?.isDirectory()) throw new Fault('IS_A_FOLDER');
  if (before.stat && !before.stat.isFile()) throw new Fault('NOT_A_FILE');
  const space = fs.statfsSync(root);
  if (size !== undefined && size > space.bavail * space.bsize) throw new Fault('ENOSPC');
  const upload = `${root}/.fairlead-upload-${randomBytes(8).toString('hex')}`;
  const mode = before.stat ? Number(before.stat.mode & 0o777n) : 0o644;
  const handle = openInside(upload, O_WRONLY | O_CREAT | O_EXCL, mode);
  onQuit = () => fs.rmSync(bytes(upload), { force: true });
  try {
    fs.fchmodSync(handle, mode);
    const taken = take(handle); // before the caller can send anything
    taken.catch(() => undefined); // it is awaited below
    await say(before.stat ? { stat: statOf(before.stat) } : {});
    const expect = await taken;
    const { real } = before.stat ? before : makeRoom(path);
    name(upload, real, expect);
    const { stat } = locate(path);
    if (!stat) throw new Fault('ENOENT');
    await say({ done: statOf(stat) });
  } finally {
    onQuit();
  }
}

function name(upload: string, real: string, expect: string | undefined): void {
  if (expect === 'absent') {
    try {
      return fs.linkSync(bytes(upload), bytes(real)); // unlike a rename it replaces nothing
    } catch (error) {
      throw errnoOf(error) === 'EEXIST' ? new Fault('CHANGED') : error;
    }
  }
  const now = lstat(real);
  if (now?.isDirectory()) throw new Fault('IS_A_FOLDER');
  if (expect !== undefined && (!now || statOf(now)[3] !== expect)) throw new Fault('CHANGED');
  fs.renameSync(bytes(upload), bytes(real));
}

/** Resolves with what must be there at the end. */
function take(handle: number): Promise<string | undefined> {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  let has = 0;
  let left = 0;
  let commit: Buffer[] | undefined;
  return new Promise((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      heardAt = Date.now();
      for (let at = 0; at < chunk.length || (commit && left === 0);) {
        if (commit && left === 0) {
          const { expect } = JSON.parse(Buffer.concat(commit).toString('latin1')) as { expect?: string };
          return resolve(expect);
        }
        if (left > 0) {
          const part = chunk.subarray(at, at + left);
          at += part.length;
          left -= part.length;
          if (commit) commit.push(part);
          else for (let put = 0; put < part.length;) put += fs.writeSync(handle, part, put);
          continue;
        }
        const taken = chunk.copy(header, has, at, at + FRAME_HEADER_BYTES - has);
        at += taken;
        has += taken;
        if (has < FRAME_HEADER_BYTES) return;
        has = 0;
        left = header.readUInt32BE(1);
        if (header[0] === COMMIT && left <= MAX_COMMIT_BYTES) commit = [];
        else if (header[0] !== DATA) throw new Fault('FRAME');
      }
    };
    process.stdin.on('data', (chunk: Buffer) => {
      try {
        onData(chunk);
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** Those of programs that were killed. */
function removeStale(): void {
  for (const name of namesIn(root)) {
    const stat = UPLOAD.test(name) ? lstat(`${root}/${name}`) : undefined;
    if (stat && Date.now() - Number(stat.mtimeMs) > STALE_MS) fs.rmSync(bytes(`${root}/${name}`), { force: true });
  }
}

async function remove({ path, recursive = false, expect }: Asked): Promise<void> {
  const { real, stat } = entry(path);
  if (!stat) throw new Fault('ENOENT');
  if (expect !== undefined && statOf(stat)[3] !== expect) throw new Fault('CHANGED');
  if (stat.isDirectory() && !recursive) fs.rmdirSync(bytes(real));
  else if (stat.isDirectory()) fs.rmSync(bytes(real), { recursive: true, force: true });
  else fs.unlinkSync(bytes(real));
  await say({});
}

async function move({ path, to = '', overwrite = false }: Asked): Promise<void> {
  const from = entry(path);
  if (!from.stat) throw new Fault('ENOENT');
  if (`${to}/`.startsWith(`${path}/`)) throw new Fault('INTO_ITSELF');
  const { real } = makeRoom(to);
  const there = lstat(real);
  if (there && (!overwrite || there.isDirectory())) throw new Fault('EEXIST');
  fs.renameSync(bytes(from.real), bytes(real));
  await say({});
}

/** A line for each entry below, and after that of a file its bytes; `size`: so many of them together. */
async function archive({ path, size = 0 }: Asked): Promise<void> {
  const { real, stat } = locate(path);
  if (!stat) throw new Fault('ENOENT');
  if (!stat.isDirectory()) throw new Fault('NOT_A_FOLDER');
  namesIn(real); // closed: before anything is said
  await say({ begin: true });
  let left = size;
  const closed: [string, string][] = [];
  const onClosed = (folder: string, code: string): void => void closed.push([folder.slice(real.length + 1), code]);
  for (const [name, found] of entriesIn(real, true, [], onClosed))
    left -= await pack(`${real}/${name}`, name, found, left);
  for (const [name, missing] of closed) await say([name, 'folder', 0, 0, 0, { missing }]);
  await say({ end: true });
}

/** Resolves with how many bytes it had. Of a file that becomes shorter zeros are the end, and a line says so. */
async function pack(real: string, name: string, stat: fs.BigIntStats, left: number): Promise<number> {
  const [type] = statOf(stat);
  const line = (about: object, size = 0): Promise<void> =>
    say([name, type, size, Number(stat.mtimeNs / 1_000_000_000n), Number(stat.mode & 0o7777n), about]);
  let handle: number | undefined;
  try {
    if (type === 'link') await line({ target: fs.readlinkSync(bytes(real), 'latin1' as BufferEncoding) });
    else if (type !== 'file') await line({});
    else handle = openInside(real, O_RDONLY);
  } catch (error) {
    await line({ missing: errnoOf(error) });
  }
  if (handle === undefined) return 0;
  try {
    const { size } = fs.fstatSync(handle);
    if (size > left) await line({ missing: 'TOO_LARGE' });
    if (size > left) return 0;
    await line({}, size);
    if (!(await copy(handle, size))) await say({ short: true });
    return size;
  } finally {
    fs.closeSync(handle);
  }
}

/** False: it has become shorter. */
async function copy(handle: number, size: number): Promise<boolean> {
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  let isWhole = true;
  for (let at = 0; at < size;) {
    const wanted = Math.min(size - at, PIECE_BYTES);
    const read = isWhole ? fs.readSync(handle, piece, 0, wanted, at) : 0;
    if (read === 0) {
      isWhole = false;
      piece.fill(0);
    }
    await put(piece.subarray(0, read || wanted));
    await setImmediate();
    at += read || wanted;
  }
  return isWhole;
}

const OPERATIONS = { list, read, write, delete: remove, move, archive };

process.stdin.on('end', quit);
process.stdin.on('error', quit);
process.stdout.on('error', quit);
process.stdin.resume();
setInterval(() => {
  if (Date.now() - heardAt > SILENT_MS) quit();
}, 10_000);

try {
  await OPERATIONS[asked.op](asked);
} catch (error) {
  await say({ fault: errnoOf(error) });
}
process.exit(0);
