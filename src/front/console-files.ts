/** The files of the console, as the build has left them: read once, compressed ahead, and kept in memory. Main thread. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Beside the compiled sources: see release/console.ts. */
export const CONSOLE_FOLDER = fileURLToPath(new URL('../../console/', import.meta.url));

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
};

export type Encoding = 'br' | 'gzip';

/** In the order in which they are preferred, with what the build puts behind a file's name. */
const ENCODINGS: readonly [Encoding, string][] = [
  ['br', '.br'],
  ['gzip', '.gz'],
];

export interface ConsoleFile {
  type: string;
  /** Of what is in it. */
  etag: string;
  body: Uint8Array;
  compressed: Partial<Record<Encoding, Uint8Array>>;
}

export interface ConsoleFiles {
  page: ConsoleFile;
  /** The page of the descriptions. */
  docs: ConsoleFile;
  /** By name. A name holds a hash of the content, so that it is good for ever. */
  assets: ReadonlyMap<string, ConsoleFile>;
}

/** Undefined where nothing was built. */
export function readConsole(folder: string): ConsoleFiles | undefined {
  const page = join(folder, 'index.html');
  if (!existsSync(page)) return undefined;
  const assets = new Map<string, ConsoleFile>();
  const names = readdirSync(join(folder, 'assets'));
  for (const name of names) {
    if (extname(name) in TYPES) assets.set(name, readOne(join(folder, 'assets', name)));
  }
  return { page: readOne(page), docs: readOne(join(folder, 'docs.html')), assets };
}

/** What the client takes of what is there; undefined: the file as it is. */
export function encodingFor(acceptEncoding: string, { compressed }: ConsoleFile): Encoding | undefined {
  const taken = new Set<string>();
  for (const part of acceptEncoding.toLowerCase().split(',')) {
    const [name = '', ...options] = part.split(';').map((piece) => piece.trim());
    if (!options.some((option) => /^q=0(\.0*)?$/.test(option))) taken.add(name);
  }
  return ENCODINGS.find(([encoding]) => taken.has(encoding) && compressed[encoding] !== undefined)?.[0];
}

function readOne(path: string): ConsoleFile {
  const body = readFileSync(path);
  const compressed: ConsoleFile['compressed'] = {};
  for (const [encoding, ending] of ENCODINGS) {
    if (existsSync(path + ending)) compressed[encoding] = readFileSync(path + ending);
  }
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { type: TYPES[extname(path)]!, etag, body, compressed };
}
