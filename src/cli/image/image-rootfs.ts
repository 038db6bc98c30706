/** Packs a root file system for the sandbox from this host's node, its libraries and busybox. Command line's process. */
import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { pack, type Header, type Pack } from 'tar-stream';
import { SANDBOX_UID } from '../../shared/docker-client.js';
import { FairleadError } from '../../shared/errors.js';
import type { BundledFile } from './image-bundle.js';
import { ACCOUNTS_FOLDER, LOADER, NODE, RUN_FOLDER, SERVER_FOLDER } from './image-layout.js';

const BUSYBOX = '/bin/busybox';
const NODE_IN_IMAGE = '/usr/local/bin/node';
/** Fixed times and owners, so that equal files make an equal layer. */
const SAME_FOR_ALL = { mtime: new Date(0), uid: 0, gid: 0 };
const run = promisify(execFile);

const ACCOUNTS = {
  passwd: `root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n`,
  group: `root:x:0:\nnogroup:x:65534:\n`,
};
/** For a container that is started by hand; Fairlead gives each its own. */
const FAIRLEAD = {
  passwd: `fairlead:x:${SANDBOX_UID}:${SANDBOX_UID}::/workspace:/bin/sh\n`,
  group: `fairlead:x:${SANDBOX_UID}:\n`,
};

/**
 * A tar stream of the root file system, packed while it is read. Rejects with ERR_START when a program is missing. A file
 * that disappears meanwhile destroys the stream.
 */
export async function packRootfs(bundle: readonly BundledFile[]): Promise<Readable> {
  const [node, applets] = await Promise.all([realpath(process.execPath), listApplets()]);
  const libraries = await listLibraries(node);
  const loader = libraries.find((path) => /\/ld-[^/]+$/.test(path));
  if (loader === undefined)
    throw new FairleadError('ERR_START', `${node} has no dynamic loader: it is linked statically`);
  const tar = pack();
  const write = async (): Promise<void> => {
    const writer = new RootfsWriter(tar);
    for (const folder of ['/dev', '/proc', '/sys', '/etc', '/bin', '/usr/bin']) await writer.folder(folder);
    await writer.folder('/tmp', { mode: 0o1777 });
    await writer.folder('/workspace', { mode: 0o755, uid: SANDBOX_UID, gid: SANDBOX_UID });
    for (const file of ['passwd', 'group'] as const) {
      await writer.file(`${ACCOUNTS_FOLDER}/${file}`, Buffer.from(ACCOUNTS[file]));
      await writer.file(`${RUN_FOLDER}/${file}`, Buffer.from(ACCOUNTS[file] + FAIRLEAD[file]));
      await writer.link(`/etc/${file}`, `${RUN_FOLDER}/${file}`);
    }
    await writer.hostFile('/bin/busybox', BUSYBOX);
    for (const applet of applets) await writer.link(`/bin/${applet}`, 'busybox');
    await writer.link('/usr/bin/env', '/bin/busybox');
    for (const library of libraries) await writer.hostFile(library, library);
    await writer.hostFile(NODE_IN_IMAGE, node);
    await writer.link(NODE, NODE_IN_IMAGE);
    await writer.hostFile(LOADER, loader, 0o711);
    for (const { name, content } of bundle) await writer.file(`${SERVER_FOLDER}/${name}`, content);
    tar.finalize();
  };
  write().catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(tar, { objectMode: false });
}

async function listApplets(): Promise<string[]> {
  try {
    const { stdout } = await run(BUSYBOX, ['--list']);
    return stdout.split('\n').filter((name) => /^[\w[.+-]+$/.test(name) && name !== 'busybox');
  } catch (error) {
    throw new FairleadError(
      'ERR_START',
      `a local image needs ${BUSYBOX}, statically linked: apt-get install busybox-static (or build without --local)`,
      { cause: error },
    );
  }
}

/** Paths of the shared libraries and the loader that a binary needs. */
export async function listLibraries(binary: string): Promise<string[]> {
  const { stdout } = await run('ldd', [binary]).catch((error: unknown) => {
    throw new FairleadError('ERR_START', `ldd cannot say which libraries ${binary} needs (a local image needs Linux)`, {
      cause: error,
    });
  });
  const missing = /^\s*(\S+) => not found/m.exec(stdout)?.[1];
  if (missing !== undefined)
    throw new FairleadError('ERR_START', `${binary} needs ${missing}, which this host does not have`);
  const paths = stdout.split('\n').map((line) => /(?:=>\s+|^\s+)(\/\S+)\s+\(0x/.exec(line)?.[1]);
  return [...new Set(paths.filter((path) => path !== undefined))];
}

/** Writes entries in order, folders before their files; root owns them unless headers say otherwise. */
class RootfsWriter {
  readonly #tar: Pack;
  readonly #folders = new Set<string>(['/']);

  constructor(tar: Pack) {
    this.#tar = tar;
  }

  async folder(path: string, headers: Partial<Header> = {}): Promise<void> {
    if (this.#folders.has(path)) return;
    await this.folder(dirname(path));
    this.#folders.add(path);
    await this.#entry({ name: relativeName(path), type: 'directory', mode: 0o755, ...headers });
  }

  async file(path: string, content: Buffer): Promise<void> {
    await this.folder(dirname(path));
    await this.#entry({ name: relativeName(path), mode: 0o644 }, content);
  }

  async link(path: string, target: string): Promise<void> {
    await this.folder(dirname(path));
    await this.#entry({ name: relativeName(path), type: 'symlink', linkname: target, mode: 0o777 });
  }

  /** Follows links: the image gets the file itself at `path`. */
  async hostFile(path: string, source: string, mode = 0o755): Promise<void> {
    await this.folder(dirname(path));
    const { size } = await stat(source);
    await new Promise<void>((resolve, reject) => {
      const entry = this.#tar.entry({ name: relativeName(path), size, mode, ...SAME_FOR_ALL }, settle(resolve, reject));
      const content = createReadStream(source);
      content.on('data', (chunk) => {
        if (!entry.write(chunk)) content.pause();
      });
      entry.on('drain', () => content.resume());
      content.on('end', () => entry.end(null));
      content.on('error', reject);
    });
  }

  async #entry(header: Partial<Header> & Pick<Header, 'name'>, content?: Buffer): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const complete = { ...SAME_FOR_ALL, ...header };
      if (content === undefined) this.#tar.entry(complete, settle(resolve, reject));
      else this.#tar.entry(complete, content, settle(resolve, reject));
    });
  }
}

function settle(resolve: () => void, reject: (error: Error) => void): (error?: Error | null) => void {
  return (error) => (error ? reject(error) : resolve());
}

function relativeName(path: string): string {
  return join('.', path);
}
