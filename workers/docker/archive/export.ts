/** Writes the workspaces of a session as plain tars, for an export of its user: of a sandbox that runs as it is now. Docker thread. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { errorToData } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { ExportedWorkspace } from '../contract/messages.js';
import type { RunningSandbox } from '../driver/driver.js';
import { ArchiveReader, BrokenArchive } from './archive-file.js';
import { yielding } from './archive-tar.js';
import type { Archives } from './archives.js';
import type { Owner, Workspaces } from './workspaces.js';

/** With the save of a sandbox that runs. Its caller gives up soon after. */
const EXPORT_MS = 120_000;

export interface WorkspaceExport {
  session: string;
  /** Exists; one file for each server is written into it. */
  folder: string;
  leases: (Owner & { sandbox: { running?: RunningSandbox }; dead?: unknown })[];
  workspaces: Pick<Workspaces, 'checkpoint'>;
  archives: Pick<Archives, 'savesOf'>;
  log: Logger;
}

/** Where one cannot be written, it says why, and the others are there. */
export async function exportWorkspaces(order: WorkspaceExport): Promise<ExportedWorkspace[]> {
  const { session, leases, workspaces, archives, log } = order;
  const cut = AbortSignal.timeout(EXPORT_MS);
  for (const lease of leases) {
    const { running } = lease.sandbox;
    if (lease.session !== session || !running || lease.dead) continue;
    // A save that something else has cut, or that fails, leaves the one before.
    await workspaces.checkpoint(lease, running, {}).catch((error: unknown) => {
      log.warn({ session, server: lease.server, err: errorToData(error).message }, 'exported as of the save before');
    });
  }
  const exported: ExportedWorkspace[] = [];
  for (const { server, path } of await archives.savesOf(session)) {
    exported.push({ server, ...(await exportOne(path, join(order.folder, `${server}.tar`), cut)) });
  }
  return exported;
}

/** A save is replaced by a rename, so the one that was opened is read to its end whatever happens meanwhile. */
async function exportOne(from: string, to: string, cut: AbortSignal): Promise<Omit<ExportedWorkspace, 'server'>> {
  try {
    const archive = await ArchiveReader.open(from, cut);
    try {
      const bytes = await writeFile(yielding(archive.tar()), to, cut);
      const { savedAt, files, skipped } = archive.info;
      return { file: to, bytes, savedAt, files, skipped: skipped.count };
    } finally {
      await archive.close();
    }
  } catch (error) {
    if (error instanceof BrokenArchive) return { problem: `its save is damaged: ${error.message}` };
    const { code, name } = error as NodeJS.ErrnoException; // its message has a path of this machine
    return { problem: `it could not be written (${code ?? name})` };
  }
}

async function writeFile(source: AsyncIterable<Buffer>, path: string, cut: AbortSignal): Promise<number> {
  const handle = await open(path, 'wx', 0o600);
  let bytes = 0;
  try {
    for await (const chunk of source) {
      cut.throwIfAborted();
      for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at)).bytesWritten;
      bytes += chunk.length;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}
