/** Packs files into a tar as its reader takes it, so that no more than a piece of it is held. Main thread. */
import { once } from 'node:events';
import { pack, type Pack } from 'tar-stream';

/** All files stand in it, so that whoever unpacks the tar finds them together. */
const FOLDER = 'fairlead-export';

export interface ExportFile {
  /** Its path. */
  name: string;
  /** Bytes; the content must have exactly so many. */
  size: number;
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** Ends with the error of `files`, if there is one: what was yielded until then is no whole tar. */
export async function* tarOf(files: AsyncIterable<ExportFile>, mtime = new Date()): AsyncGenerator<Uint8Array> {
  const packed = pack();
  let failure: unknown;
  const feeding = feed(packed, files, mtime).catch((error: unknown) => {
    failure = error;
    packed.destroy();
  });
  try {
    for await (const chunk of packed) yield chunk as Uint8Array;
  } catch (error) {
    failure ??= error;
  } finally {
    packed.destroy(); // the reader may have gone
    await feeding;
  }
  if (failure !== undefined) throw failure;
}

async function feed(packed: Pack, files: AsyncIterable<ExportFile>, mtime: Date): Promise<void> {
  const closed = once(packed, 'close').catch(() => undefined); // who reads it is told of the error
  for await (const { name, size, content } of files) {
    const entry = packed.entry({ name: `${FOLDER}/${name}`, size, mtime, mode: 0o600, type: 'file' });
    for await (const chunk of content) {
      if (packed.destroyed) return;
      if (!entry.write(chunk)) await Promise.race([once(entry, 'drain'), closed]);
    }
    const ended = once(entry, 'finish');
    entry.end(undefined);
    await Promise.race([ended, closed]);
    if (packed.destroyed) return;
  }
  packed.finalize();
}
