/** The programs that a restore runs in a sandbox, and what they are fed. Docker thread. */
import { rewrite, setEmpty, setMode, TAR_BLOCK_BYTES, TarReader, yielding, type TarEntry } from './archive-tar.js';
import {
  hasHoles,
  HOLE_BLOCK_BYTES,
  HoleFinder,
  MAX_FILES_WITH_HOLES,
  MIN_SIZE_WITH_HOLES,
  type Extent,
} from './holes.js';

export const PIECE_BYTES = 65_536;
export const FOLDERS_FAILED = 90;
const OWNER_RWX = 0o700;
const OWNER_WRITE = 0o200;
const OWNER_SEARCH = 0o100;
const SET_ID = 0o6000;
/** Each costs the start of a program; further ones stay open. */
const MAX_CLOSED_FOLDERS = 5_000;

/**
 * `$0` is the workspace, `$1` tar's options, `$2` the number of pieces of the tar, `$3` whether a second tar with only the
 * folders follows on the same input: unpacking into a folder changes its time, and the second tar sets it again. One program
 * unpacks both, since a start takes longer than the second tar. dd keeps the first tar from reading on; its exit code goes
 * around the pipe, which returns tar's. `umask 0`: busybox tar has no -p and applies the umask to all modes.
 */
export const UNPACK = `umask 0; export LC_ALL=C
fed=$({ { dd bs=${PIECE_BYTES} count="$2" iflag=fullblock status=none; echo "$?" >&3; } | tar -C "$0" "$1" - >&2; } 3>&1) || exit
[ "$fed" = 0 ] || { echo "dd ended with code $fed" >&2; exit 1; }
[ "$3" = 0 ] || tar -C "$0" "$1" - || exit ${FOLDERS_FAILED}`;

/** Arguments on its input: paths, or none, since closed folders come later. */
export const SET_MODE = 'cd "$0" && exec xargs -0 -r chmod "$1"';
/** Arguments on its input: mode and path by turns, folders after what is in them. */
export const SET_MODES = 'cd "$0" && exec xargs -0 -r -n 2 chmod';

/**
 * Writes the data of files with holes. Lines on its input: \`F NAME\` names the file, escaped for printf; \`D FROM COUNT\`
 * precedes COUNT blocks of it; \`E SIZE TIME\` ends it.
 */
export const FILL = `cd "$0" || exit
while read -r what a b; do
  case $what in
    F) name=$(printf '%bx' "$a"); name=\${name%x} ;;
    D) dd bs=${HOLE_BLOCK_BYTES} seek="$a" count="$b" iflag=fullblock conv=notrunc status=none of="$name" || exit ;;
    E) dd bs=1 seek="$a" count=0 status=none of="$name" < /dev/null || exit; touch -m -d "@$b" "$name" ;;
  esac
done`;

/** A file that is unpacked empty, and then filled. */
interface FileWithHoles {
  path: Buffer;
  size: number;
  mtime: number;
  extents: readonly Extent[];
}

/** By the number of the entry. */
export type HolePlan = ReadonlyMap<number, FileWithHoles>;

export async function planHoles(source: AsyncIterable<Buffer>): Promise<HolePlan> {
  const plan = new Map<number, FileWithHoles>();
  let number = -1;
  let file: { entry: TarEntry; left: number; finder: HoleFinder } | undefined;
  const reader = new TarReader((part, entry, isExtension) => {
    if (isExtension) return;
    if (entry) {
      number++;
      const may = entry.isFile && entry.size >= MIN_SIZE_WITH_HOLES && plan.size < MAX_FILES_WITH_HOLES;
      file = may ? { entry, left: entry.size, finder: new HoleFinder() } : undefined;
    } else if (file) {
      file.finder.write(part.subarray(0, file.left));
      file.left -= Math.min(file.left, part.length);
      if (file.left > 0) return;
      const { path, size, mtime } = file.entry;
      const extents = file.finder.end();
      if (hasHoles(size, extents)) plan.set(number, { path, size, mtime, extents });
      file = undefined;
    }
  });
  for await (const chunk of yielding(source)) reader.write(chunk);
  return plan;
}

/** Bytes that the tar loses without their content. */
export function bytesLeftOut(plan: HolePlan): number {
  let bytes = 0;
  for (const { size } of plan.values()) bytes += Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
  return bytes;
}

/**
 * The tar as it is unpacked. Each folder is writable for its owner, since busybox cannot unpack into one of mode 0555; files
 * with holes are empty and writable. `modes` collects what has to be set afterwards, set-id bits too, which busybox drops.
 */
export async function* unpackable(
  source: AsyncIterable<Buffer>,
  plan: HolePlan,
  modes: Set<number>,
): AsyncGenerator<Buffer> {
  let number = -1;
  let left = 0;
  yield* rewrite(source, (part, entry, isExtension) => {
    if (!entry) {
      if (isExtension || left === 0) return part;
      left -= part.length;
      return undefined;
    }
    const filled = plan.get(++number);
    if (isSetLater(entry, filled)) modes.add(entry.mode);
    openFolder(part, entry);
    if (!filled) return part;
    left = Math.ceil(filled.size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
    setMode(part, entry.mode | OWNER_WRITE);
    setEmpty(part);
    return part;
  });
}

/** Pads with zeros to a whole number of pieces. */
export async function* inPieces(source: AsyncIterable<Buffer>, pieceBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    yield chunk;
  }
  const rest = bytes % pieceBytes;
  if (rest > 0) yield Buffer.alloc(pieceBytes - rest);
}

/** Only the folders, writable: unpacked last, they set the times that unpacking their files has changed. */
export async function* foldersOnly(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let extensions: Buffer[] = [];
  yield* rewrite(source, (part, entry, isExtension) => {
    if (isExtension) extensions.push(part);
    if (!entry) return undefined;
    openFolder(part, entry);
    const kept = entry.isFolder ? Buffer.concat([...extensions, part]) : undefined;
    extensions = [];
    return kept;
  });
  yield Buffer.alloc(2 * TAR_BLOCK_BYTES);
}

/** Paths, each with a zero byte at its end, whose mode has to be set to `mode`; not of folders that nobody can enter then. */
export async function* pathsOfMode(
  source: AsyncIterable<Buffer>,
  plan: HolePlan,
  mode: number,
): AsyncGenerator<Buffer> {
  let number = -1;
  yield* rewrite(source, (_part, entry) => {
    if (!entry) return undefined;
    const filled = plan.get(++number);
    return entry.mode === mode && isSetLater(entry, filled) && !closes(entry) ? argument(entry.path) : undefined;
  });
}

/** Modes and paths of folders that nobody can enter, each with a zero byte at its end: inner ones first. */
export async function closedFolders(source: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const folders: Buffer[] = [];
  const reader = new TarReader((_part, entry) => {
    if (!entry || !closes(entry) || folders.length >= MAX_CLOSED_FOLDERS) return;
    folders.push(Buffer.concat([Buffer.from(`${chmodDigits(entry.mode)}\0`), argument(entry.path)]));
  });
  for await (const chunk of yielding(source)) reader.write(chunk);
  return folders.toReversed();
}

/** GNU chmod clears a folder's set-id bits only with five digits. */
export function chmodDigits(mode: number): string {
  return mode.toString(8).padStart(5, '0');
}

/** What FILL reads. */
export async function* fillings(source: AsyncIterable<Buffer>, plan: HolePlan): AsyncGenerator<Buffer> {
  let number = -1;
  let file: Filling | undefined;
  yield* rewrite(source, (part, entry, isExtension) => {
    if (isExtension) return undefined;
    if (!entry) return file?.take(part);
    const found = plan.get(++number);
    file = found && new Filling(found);
    return file?.start();
  });
}

class Filling {
  readonly #file: FileWithHoles;
  readonly #extents: Extent[];
  #at = 0;

  constructor(file: FileWithHoles) {
    this.#file = file;
    this.#extents = [...file.extents];
  }

  start(): Buffer {
    const escaped = [...this.#file.path].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join('');
    return Buffer.from(`F ./${escaped}\n`);
  }

  take(part: Buffer): Buffer | undefined {
    const out: Buffer[] = [];
    const content = part.subarray(0, Math.max(0, this.#file.size - this.#at));
    for (let from = 0; from < content.length;) {
      const extent = this.#extents[0];
      const start = extent ? extent.from * HOLE_BLOCK_BYTES : Infinity;
      const end = extent ? start + extent.count * HOLE_BLOCK_BYTES : Infinity;
      const at = this.#at + from;
      if (at < start) {
        from += Math.min(content.length - from, start - at);
        continue;
      }
      if (at === start) out.push(Buffer.from(`D ${extent?.from} ${extent?.count}\n`));
      const piece = content.subarray(from, from + end - at);
      out.push(piece);
      from += piece.length;
      const last = at + piece.length === this.#file.size;
      if (last) out.push(Buffer.alloc(end - this.#file.size)); // whole blocks
      if (last || at + piece.length === end) this.#extents.shift();
    }
    const isEnd = this.#at < this.#file.size && this.#at + content.length === this.#file.size;
    this.#at += content.length;
    if (isEnd) out.push(this.#end());
    return out.length > 0 ? Buffer.concat(out) : undefined;
  }

  #end(): Buffer {
    return Buffer.from(`E ${this.#file.size} ${this.#file.mtime}\n`);
  }
}

function argument(path: Buffer): Buffer {
  return Buffer.concat([Buffer.from('./'), path, Buffer.from([0])]);
}

function openFolder(header: Buffer, { isFolder, mode }: TarEntry): void {
  if (isFolder && (mode & OWNER_RWX) !== OWNER_RWX) setMode(header, mode | OWNER_RWX);
}

function isSetLater({ isFolder, mode }: TarEntry, filled: FileWithHoles | undefined): boolean {
  if (filled && (mode & OWNER_WRITE) === 0) return true;
  return (isFolder && (mode & OWNER_RWX) !== OWNER_RWX) || (mode & SET_ID) !== 0;
}

function closes({ isFolder, mode }: TarEntry): boolean {
  return isFolder && (mode & OWNER_SEARCH) === 0;
}
