/**
 * The memory of a sandbox: its writable folders are tmpfs, so what they hold counts beside what programs use. A pure function of the
 * configuration; main thread, docker thread and command line.
 */

/** Most files and folders for each MB of a tmpfs: 8 KiB a file. Linux's own limit is half of the host's pages, and each costs memory. */
export const FILES_PER_MB = 128;
/** What one entry costs beside its content: the inode, and a name of up to 255 bytes. 60,000 short ones were measured at 1 KiB each. */
const ENTRY_KB = 1.5;
/** A Node MCP server alone takes about 45 MB. */
const LEAST_FOR_PROGRAMS_MB = 64;
const DEFAULT_FOR_PROGRAMS_MB = 512;

export interface SandboxFolders {
  workspaceMb: number;
  tmpMb: number;
  shmMb: number;
}

/** MB that full folders take, their entries included. */
export function foldersMb({ workspaceMb, tmpMb, shmMb }: SandboxFolders): number {
  return withEntries(workspaceMb + tmpMb + shmMb);
}

/** MB that the volumes of an image take when they are full: each is as large as /tmp. */
export function volumesMb(count: number, { tmpMb }: Pick<SandboxFolders, 'tmpMb'>): number {
  return withEntries(count * tmpMb);
}

function withEntries(contentMb: number): number {
  return contentMb + Math.ceil((contentMb * FILES_PER_MB * ENTRY_KB) / 1024);
}

/** `sandbox.memoryMb` where the configuration does not say it. */
export function defaultMemoryMb(folders: SandboxFolders): number {
  return foldersMb(folders) + DEFAULT_FOR_PROGRAMS_MB;
}

/** Why full folders would kill the sandbox's server, with the figures; undefined when they leave room for it. */
export function memoryProblem(memoryMb: number, folders: SandboxFolders): string | undefined {
  const full = foldersMb(folders);
  const least = full + LEAST_FOR_PROGRAMS_MB;
  if (memoryMb >= least) return undefined;
  const { workspaceMb, tmpMb, shmMb } = folders;
  return (
    `is ${memoryMb}, files included, and leaves no room for programs when the folders are full: workspaceMb ${workspaceMb}, tmpMb ${tmpMb} ` +
    `and shmMb ${shmMb} take ${full} with their entries, and programs need ${LEAST_FOR_PROGRAMS_MB}. ` +
    `Set it to ${least} or more, leave it out (${defaultMemoryMb(folders)}), or make the folders smaller`
  );
}
