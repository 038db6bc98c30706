/** What a backup file is: a gzipped tar that begins with a head, ends with a manifest, and holds nothing but known entries. Pure. */
import { z } from 'zod';
import { FairleadError } from '../../shared/errors.js';
import { VERSION } from '../../shared/version.js';

/** Of the file. A later one that an earlier release cannot read has a higher number. */
export const FORMAT = 1;
export const HEAD = 'fairlead-backup.json';
export const MANIFEST = 'manifest.json';
export const LMDB_ENTRY = 'store/lmdb/data.mdb';
export const CONFIG_ENTRY = 'config/fairlead.json';
export const ENVIRONMENT_ENTRY = 'config/fairlead.env';
const DATA = 'data/';

/** Files of the data folder that are copied; those after `keys` only where the operator asks for keys. */
export const DATA_FILES = {
  plain: ['instance', 'mcp-pins.json', 'audit-sent-syslog', 'audit-sent-http', 'audit-head'],
  keys: ['token', 'browser-key'],
} as const;
export const DATA_FOLDERS = ['leases', 'losses', 'saved', 'workspaces', 'audit'] as const;

const FILES: readonly string[] = [...DATA_FILES.plain, ...DATA_FILES.keys];
/** One name of a file, with nothing by which it could stand elsewhere. A session's id may begin with a dash. */
const INNER = new RegExp(`^(?:${DATA_FOLDERS.join('|')})/[A-Za-z0-9_~-][A-Za-z0-9_.~-]{0,254}$`);
const REDIS = /^store\/redis\/\d{8}\.dump$/;

export const headShape = z.object({
  format: z.number().int().positive(),
  /** Of the Fairlead that has made it. */
  version: z.string().regex(/^\d+\.\d+\.\d+/),
  createdAt: z.string(),
  instance: z.string(),
  store: z.enum(['lmdb', 'redis', 'none']),
  /** With environment file, token and the key of cookies. */
  withSecrets: z.boolean(),
});

export type Head = z.infer<typeof headShape>;

export const manifestShape = z.object({
  entries: z.array(
    z.object({ name: z.string(), bytes: z.number().int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
  /** Sessions whose keys are in the entries of Redis. */
  redisKeys: z.number().int().min(0).optional(),
});

export type Manifest = z.infer<typeof manifestShape>;
export type ManifestEntry = Manifest['entries'][number];

/** The entry of a file of the data folder; `path` is relative to that. */
export function dataEntry(path: string): string {
  return DATA + path;
}

export function redisEntry(number: number): string {
  return `store/redis/${String(number).padStart(8, '0')}.dump`;
}

export function isRedisEntry(name: string): boolean {
  return REDIS.test(name);
}

/** Where in the data folder an entry belongs; undefined: not there. Only for a name that `isKnown`. */
export function pathInData(name: string): string | undefined {
  if (name === LMDB_ENTRY) return 'store/data.mdb';
  return name.startsWith(DATA) ? name.slice(DATA.length) : undefined;
}

/** Whether a backup may have an entry of this name. No other is ever written to a disk. */
export function isKnown(name: string): boolean {
  if ([LMDB_ENTRY, CONFIG_ENTRY, ENVIRONMENT_ENTRY].includes(name) || REDIS.test(name)) return true;
  if (!name.startsWith(DATA)) return false;
  const path = name.slice(DATA.length);
  return FILES.includes(path) || INNER.test(path);
}

/** Whether a name in one of the folders is copied: what is being written has another name until it is whole. */
export function isCopied(folder: (typeof DATA_FOLDERS)[number], name: string): boolean {
  return INNER.test(`${folder}/${name}`) && !/(\.tmp|~new)$/.test(name);
}

/** ERR_START for a backup that this release may not understand. */
export function checkReadable(head: Head, file: string): void {
  if (head.format <= FORMAT && !isNewer(head.version, VERSION)) return;
  throw new FairleadError(
    'ERR_START',
    `${file} was made by Fairlead ${head.version}, and this is ${VERSION}, which may not understand it: install that release first`,
  );
}

/** By the three numbers: a preview of a version counts as that version. */
export function isNewer(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(/[.+-]/).slice(0, 3).map(Number));
  for (let i = 0; i < 3; i++) {
    const [left = 0, right = 0] = [a?.[i], b?.[i]];
    if (left !== right) return left > right;
  }
  return false;
}
