/** The doctor's checks of where a server keeps its things: whose the data folder is, and how much room there is. Command line's process. */
import { accessSync, constants } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../../shared/config.js';
import type { Finding } from './doctor.js';
import type { Account } from './subject.js';

const MIB = 1024 * 1024;
const LITTLE_BYTES = 1024 * MIB;
const TOO_LITTLE_BYTES = 200 * MIB;
const FEW_INODES = 10_000;

/** Root may write everywhere, so what this process may do says nothing of another account. */
export async function checkDataFolder({ dataDir }: Config, account: Account | undefined): Promise<Finding[]> {
  const found = await stat(dataDir).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    if (found.code === 'ENOENT') return [{ status: 'ok', detail: `${dataDir} is made at the first start` }];
    const hint = 'run the doctor with sudo, or see who may enter the folders above it';
    return [{ status: 'failed', detail: `${dataDir} cannot be looked at (${found.code})`, hint }];
  }
  if (!found.isDirectory()) {
    return [{ status: 'failed', detail: `${dataDir} is no folder`, hint: 'set FAIRLEAD_DATA to another' }];
  }
  const uid = account?.uid ?? process.geteuid?.() ?? 0;
  const who = account?.name ?? 'this account';
  const findings: Finding[] = [];
  if (found.uid !== uid && uid !== 0) {
    const hint = `chown -R ${account?.name ?? uid} ${dataDir}`;
    findings.push({
      status: 'failed',
      detail: `${dataDir} belongs to the account ${found.uid}, and not to ${who}`,
      hint,
    });
  } else if (account === undefined ? !isWritable(dataDir) : (found.mode & 0o300) !== 0o300 && uid !== 0) {
    findings.push({ status: 'failed', detail: `${who} cannot write ${dataDir}`, hint: `chmod u+rwx ${dataDir}` });
  }
  if ((found.mode & 0o077) !== 0) {
    const detail = `others may look into ${dataDir} (mode ${(found.mode & 0o777).toString(8)})`;
    findings.push({ status: 'warning', detail, hint: `chmod 700 ${dataDir}: it holds conversations and a token` });
  }
  if (findings.length > 0) return findings;
  return [{ status: 'ok', detail: `${dataDir} is ${who === 'this account' ? 'yours' : `${who}’s`}, and writable` }];
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false; // the answer, whatever the reason
  }
}

/** `dockerRoot`: where a Docker of this machine keeps its containers. */
export async function checkDisk({ dataDir }: Config, dockerRoot?: string): Promise<Finding[]> {
  const findings = [await roomIn(await nearest(dataDir), 'the data folder')];
  if (dockerRoot !== undefined) {
    const there = await stat(dockerRoot).catch(() => undefined); // Docker's folder may be out of sight: another machine's, or root's
    if (there) findings.push(await roomIn(dockerRoot, 'Docker'));
  }
  return findings;
}

async function roomIn(folder: string, whose: string): Promise<Finding> {
  const { bavail, bsize, files, ffree } = await statfs(folder);
  const bytes = bavail * bsize;
  const detail = `${Math.floor(bytes / MIB)} MiB free for ${whose} (${folder})`;
  const hint =
    'make room: old archives and audit files (docs/operations.md, Retention), `docker system prune` for images';
  if (bytes < TOO_LITTLE_BYTES) return { status: 'failed', detail, hint };
  if (bytes < LITTLE_BYTES) return { status: 'warning', detail, hint };
  if (files > 0 && ffree < FEW_INODES)
    return { status: 'warning', detail: `${ffree} inodes free for ${whose} (${folder})`, hint };
  return { status: 'ok', detail };
}

async function nearest(folder: string): Promise<string> {
  const there = await stat(folder).then(
    () => true,
    () => false,
  );
  return there || folder === dirname(folder) ? folder : nearest(dirname(folder));
}
