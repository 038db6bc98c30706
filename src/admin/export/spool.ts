/** Files of an export whose size must be known before they are sent: in a folder of its own, gone with the export. Main thread. */
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExportFile } from './tar.js';

const PIECE_BYTES = 262_144;

export class Spool {
  readonly folder: string;
  #files = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(root: string): Promise<Spool> {
    await mkdir(root, { recursive: true, mode: 0o700 });
    return new Spool(await mkdtemp(join(root, 'export-')));
  }

  /** Writes the pieces to a file, and resolves with it under this name. */
  async keep(name: string, pieces: AsyncIterable<Uint8Array | string>): Promise<ExportFile> {
    const path = join(this.folder, `${this.#files++}`);
    const handle = await open(path, 'wx', 0o600);
    try {
      for await (const piece of pieces) {
        const bytes = Buffer.from(piece);
        for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten;
      }
    } catch (error) {
      await rm(path, { force: true }); // the disk may be full
      throw error;
    } finally {
      await handle.close();
    }
    return this.file(name, path);
  }

  /** A file that stands in the folder. It is removed when it was read. */
  async file(name: string, path: string): Promise<ExportFile> {
    const { size } = await stat(path);
    return { name, size, content: piecesOf(path) };
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function* piecesOf(path: string): AsyncGenerator<Uint8Array> {
  for await (const chunk of createReadStream(path, { highWaterMark: PIECE_BYTES })) yield chunk as Uint8Array;
  await rm(path, { force: true });
}
