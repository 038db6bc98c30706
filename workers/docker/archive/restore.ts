/** Unpacks an archive into a fresh sandbox. Docker thread. */
import type { Logger } from '../../../src/shared/log.js';
import type { RunningSandbox } from '../driver/driver.js';
import { exitError, streamError } from './archive-errors.js';
import type { ArchiveReader } from './archive-file.js';
import { feed, isProcess, piecesOf, workspaceOf, type Fed } from './programs.js';
import {
  bytesLeftOut,
  chmodDigits,
  closedFolders,
  FILL,
  fillings,
  FOLDERS_FAILED,
  foldersOnly,
  inPieces,
  pathsOfMode,
  PIECE_BYTES,
  planHoles,
  SET_MODE,
  SET_MODES,
  UNPACK,
  unpackable,
} from './restore-script.js';

export interface RestoreJob {
  archive: ArchiveReader;
  server: string;
  sandbox: RunningSandbox;
  cut: AbortSignal;
  log: Logger;
}

/** After an error the sandbox may hold half of the files. Errors as `Archives.restore`. */
export async function unpack({ archive, server, sandbox, cut, log }: RestoreJob): Promise<void> {
  const { folders, tarBytes, withHoles } = archive.info;
  const folder = workspaceOf(sandbox);
  const what = `the saved files of ${server} could not be put back; they are kept for the next try`;
  const run = async (command: string[], input: AsyncIterable<Buffer>): Promise<Fed> => {
    const fed = await feed(await sandbox.exec(command, cut), input, cut);
    if (fed.code === null) throw exitError(null, fed.stderr, what);
    return fed;
  };
  const plan = withHoles === 0 ? new Map() : await planHoles(archive.tar());
  const modes = new Set<number>();
  async function* tars(): AsyncGenerator<Buffer> {
    yield* inPieces(unpackable(archive.tar(), plan, modes), PIECE_BYTES);
    if (folders > 0) yield* foldersOnly(archive.tar());
  }
  const pieces = Math.ceil((tarBytes - bytesLeftOut(plan)) / PIECE_BYTES);
  // In Docker all files belong to the sandbox's one user, so owners need not be looked up.
  const options = isProcess(sandbox) ? '-xpf' : '-xpof';
  const unpacked = await run(['sh', '-c', UNPACK, folder, options, String(pieces), String(folders)], tars());
  if (unpacked.code !== 0 && unpacked.code !== FOLDERS_FAILED) throw exitError(unpacked.code, unpacked.stderr, what);
  if (unpacked.unread) throw streamError(unpacked.unread, server);
  // All files are there now: a folder's wrong time or mode is no reason to fail, unless the sandbox is gone.
  const warn = ({ code, stderr }: Fed, message: string): void => {
    if (code !== 0) log.warn({ server, code, stderr }, message);
  };
  warn(unpacked, 'restore: not all times of folders could be set');
  if (plan.size > 0) {
    const filled = await run(['sh', '-c', FILL, folder], fillings(archive.tar(), plan));
    if (filled.code !== 0) throw exitError(filled.code, filled.stderr, what);
    if (filled.unread) throw streamError(filled.unread, server);
  }
  for (const mode of modes) {
    const command = ['sh', '-c', SET_MODE, folder, chmodDigits(mode)];
    warn(await run(command, pathsOfMode(archive.tar(), plan, mode)), 'restore: not all modes could be set');
  }
  const closed = modes.size > 0 ? await closedFolders(archive.tar()) : [];
  if (closed.length > 0) {
    warn(await run(['sh', '-c', SET_MODES, folder], piecesOf(closed)), 'restore: not all modes could be set');
  }
}
