/** Writes an export to a file that is there only when it is whole, and reads what the export says about itself. Command line's process. */
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { z } from 'zod';
import { counted } from '../../shared/counted.js';
import { FairleadError } from '../../shared/errors.js';
import { inline } from '../terminal-text.js';

const MANIFEST = 'fairlead-export/manifest.json';
/** The names of all its files are in it. */
const MAX_MANIFEST_BYTES = 256 * 1024 * 1024;
const MAX_TOLD = 20;

const manifestSchema = z.object({
  user: z.string(),
  sessions: z.number(),
  files: z.array(z.string()),
  missing: z.array(z.object({ session: z.string(), what: z.string(), why: z.string() })),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** ERR_CONFIG: the file exists. ERR_UNAVAILABLE: the export was cut. After any error there is no file. */
export async function writeExport(file: string, chunks: AsyncIterable<Uint8Array>): Promise<Manifest> {
  if (await exists(file)) throw new FairleadError('ERR_CONFIG', `${file} exists already: name another file`);
  const part = `${file}.part`;
  try {
    const handle = await open(part, 'w', 0o600);
    try {
      for await (const chunk of chunks) {
        for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at)).bytesWritten;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    const manifest = await readManifest(part);
    await rename(part, file);
    return manifest;
  } catch (error) {
    await rm(part, { force: true });
    throw unwritable(file, error);
  }
}

function unwritable(file: string, error: unknown): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return new FairleadError('ERR_CONFIG', `there is no folder ${dirname(resolve(file))}`, { cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
      return new FairleadError('ERR_UNAVAILABLE', `the disk of ${file} is full`, { cause: error });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new FairleadError('ERR_CONFIG', `${file} cannot be written here: name a file elsewhere`, { cause: error });
    default:
      return error;
  }
}

/** The manifest is the last file: with it the export is whole. ERR_UNAVAILABLE without it. */
export async function readManifest(file: string): Promise<Manifest> {
  const reader = extract();
  let json: Buffer | undefined;
  reader.on('entry', ({ name, size }, content, next) => {
    const parts: Buffer[] = [];
    const wanted = name === MANIFEST && size <= MAX_MANIFEST_BYTES;
    content.on('data', (part) => wanted && parts.push(part as Buffer));
    content.on('end', () => {
      if (wanted) json = Buffer.concat(parts);
      next();
    });
    content.resume();
  });
  await pipeline(createReadStream(file), reader);
  if (!json) throw new FairleadError('ERR_UNAVAILABLE', 'the export is not whole: it has no manifest');
  return manifestSchema.parse(JSON.parse(json.toString()));
}

export function exportText({ user, sessions, files, missing }: Manifest, file: string): string {
  const told = missing
    .slice(0, MAX_TOLD)
    .map(({ session, what, why }) => `  ${inline(`${session}: ${what}: ${why}`, 300)}\n`);
  const more = missing.length > MAX_TOLD ? `  and ${missing.length - MAX_TOLD} more, see manifest.json\n` : '';
  const lacks =
    missing.length > 0 ? `${counted(missing.length, 'part')} could not be had:\n${told.join('')}${more}` : '';
  return `${inline(user)} is exported to ${inline(file, 300)}: ${counted(sessions, 'session')}, ${counted(files.length, 'file')}\n${lacks}`;
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
