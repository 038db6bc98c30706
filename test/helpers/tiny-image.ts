/** Images of the tests' own, of a few hundred milliseconds each: busybox alone, with the command that a test wants. */
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { docker } from './docker.js';

const BUSYBOX = '/bin/busybox';
const APPLETS = ['sh', 'cat', 'head', 'yes', 'sleep', 'id', 'env', 'tr', 'dd'];
let made = 0;

export interface TinyImage {
  readonly tag: string;
  remove(): Promise<void>;
}

/** An image whose command is `sh -c SCRIPT`. */
export async function makeTinyImage(script: string): Promise<TinyImage> {
  const rootfs = pack();
  for (const folder of ['bin', 'tmp', 'workspace', 'proc', 'dev', 'sys', 'etc']) {
    rootfs.entry({ name: `${folder}/`, type: 'directory', mode: 0o755 });
  }
  rootfs.entry({ name: 'bin/busybox', mode: 0o755 }, await readFile(BUSYBOX));
  for (const applet of APPLETS) rootfs.entry({ name: `bin/${applet}`, type: 'symlink', linkname: 'busybox' });
  rootfs.finalize();
  const tag = `fairlead-test-tiny:${process.pid}-${++made}`;
  const [repo, name] = tag.split(':');
  const progress = await docker().importImage(Readable.from([await buffer(rootfs)], { objectMode: false }), {
    repo,
    tag: name,
    changes: `CMD ${JSON.stringify(['/bin/sh', '-c', script])}`,
  });
  await buffer(progress);
  return { tag, remove: async () => void (await docker().getImage(tag).remove({ force: true })) };
}

/** Copies its input to its output. */
export const ECHO = 'exec cat';
