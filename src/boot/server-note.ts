/**
 * Where the server of a data folder listens, for commands on the same machine: the configuration may have port 0, or be in the middle
 * of an edit. Main thread writes, the command line's process reads.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { makePrivateFile } from '../shared/private-file.js';

const noteSchema = z.object({ pid: z.number().int().positive(), url: z.url({ protocol: /^https?$/ }) });

export function serverNoteFile(dataDir: string): string {
  return join(dataDir, 'server.json');
}

export function writeServerNote(dataDir: string, url: string): void {
  makePrivateFile({ file: serverNoteFile(dataDir) }, JSON.stringify({ pid: process.pid, url }));
}

/** Undefined: no server of this folder runs, or this account may not know. */
export function readServerNote(dataDir: string): string | undefined {
  try {
    const { pid, url } = noteSchema.parse(JSON.parse(readFileSync(serverNoteFile(dataDir), 'utf8')));
    return isAlive(pid) ? url : undefined;
  } catch {
    return undefined; // absent, private or damaged: the default address is as good a guess
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
