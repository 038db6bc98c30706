/** Opens the data folder, which one server holds at a time and which keeps the instance's name. Main thread. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { FairleadError } from '../shared/errors.js';

export interface DataDir {
  dir: string;
  /** The label of this server's containers. It survives restarts. */
  instance: string;
  release(): void;
}

/** A file in the folder while a restore puts things there: until it is gone, the folder holds some of two states. */
export const UNFINISHED_RESTORE = 'restore-unfinished';

/**
 * A listening Unix socket holds the folder. Unlike a pid file it ends with its process, however that dies, and a reused pid
 * cannot fool it. ERR_START when the folder cannot be used or another server holds it.
 */
export async function openDataDir(dir: string): Promise<DataDir> {
  try {
    // A new folder is private. An existing one keeps its mode, since somebody may share it on purpose.
    makeFolder(dir);
    const hold = await holdFolder(dir);
    if (!hold) {
      throw new FairleadError(
        'ERR_START',
        `another Fairlead server uses the data folder ${dir}: stop it, or set FAIRLEAD_DATA`,
      );
    }
    try {
      if (existsSync(join(dir, UNFINISHED_RESTORE))) {
        throw new FairleadError('ERR_START', `a restore of the data folder ${dir} was cut off: run it again`);
      }
      return { dir, instance: readInstance(dir), release: () => void hold.close() };
    } catch (error) {
      hold.close();
      throw error;
    }
  } catch (error) {
    if (error instanceof FairleadError) throw error;
    throw new FairleadError(
      'ERR_START',
      `the data folder ${dir} cannot be used (${(error as Error).message}): set FAIRLEAD_DATA`,
      {
        cause: error,
      },
    );
  }
}

/** Node's own `recursive` never ends where a file system says ENOENT to each attempt, as /proc does. */
function makeFolder(dir: string): void {
  if (existsSync(dir)) return;
  makeFolder(dirname(dir));
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if (!existsSync(dir)) throw error; // a server that starts beside this one has made it
  }
}

/** As a server does, for who changes the folder while none may run. Undefined: one runs. */
export async function holdDataDir(dir: string): Promise<{ release(): void } | undefined> {
  const hold = await holdFolder(dir);
  return hold && { release: () => void hold.close() };
}

/** Undefined: a server holds it. */
async function holdFolder(dir: string): Promise<Server | undefined> {
  // The path of a socket is limited to 107 bytes; the relative one is often shorter.
  const full = join(dir, 'server.sock');
  const short = relative(process.cwd(), full);
  const path = short.length < full.length ? short : full;
  for (let attempt = 0; attempt < 2; attempt++) {
    const server = await listenOn(path);
    if (server) return server;
    if (await answers(path)) return undefined;
    rmSync(full, { force: true }); // left by a server that was killed
  }
  throw new FairleadError('ERR_START', `the data folder ${dir} cannot be held: another server is starting on it`);
}

/** Undefined when the path exists already. */
function listenOn(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function readInstance(dir: string): string {
  const file = join(dir, 'instance');
  try {
    const text = readFileSync(file, 'utf8').trim();
    if (/^[0-9a-f]{16}$/.test(text)) return text;
    throw new FairleadError(
      'ERR_START',
      `${file} is damaged: it must hold 16 hex digits; remove it to get a new instance name`,
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const instance = randomBytes(8).toString('hex');
  writeFileSync(file, `${instance}\n`, { mode: 0o600 });
  return instance;
}
