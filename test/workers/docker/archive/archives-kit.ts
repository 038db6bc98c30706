/** Archives in a folder of their own, and sandboxes to save: for the tests of both. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { createLog } from '../../../../src/shared/log.js';
import { Archives, type ArchivesOptions } from '../../../../workers/docker/archive/archives.js';
import { DockerDriver } from '../../../../workers/docker/driver/docker-driver.js';
import type { RunningSandbox, SandboxProgram } from '../../../../workers/docker/driver/driver.js';
import { dockerHost, WORKSPACE_IMAGE } from '../../../helpers/docker.js';

export const log = createLog('test', 'silent');
export const driver = new DockerDriver(parseConfig({}, { DOCKER_HOST: dockerHost() }), randomUUID(), log);
export const SESSION = 'AbCdEfGhIjKlMnOpQrSt-_';

export async function folderFor(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-archives-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function open(
  t: Test,
  options: Partial<ArchivesOptions> = {},
): Promise<{ folder: string; archives: Archives }> {
  const folder = options.folder ?? join(await folderFor(t), 'archives');
  const archives = new Archives({ folder, maxBytes: 600_000_000, timeoutMs: 60_000, log, ...options });
  await archives.load();
  return { folder, archives };
}

/** Two files, `notes.txt` and `kept/more.txt`, as 0.2.0 wrote them. */
export const SAVED_BY_0_2_0 = Buffer.from(
  [
    'BCJNGGRAp/MAAAA/Li8AAQBOcTAwMDA3NTUIADwwMDAIAAACAKEAMTQ1MjQ3NzA0IAB/NzcxNAAgNZoATvEAAAAAdXN0YXIgIAByb290EQAPAg',
    'AEDyAADQ8CAKSvLi9ub3Rlcy50eP4ACg8CACoA4QE8NjQ0+AEEEABKMDAxNAACjzExNjAwACAwdgAqDwIAFA8AAuzPcmVtZW1iZXIgbWUKMgEU',
    'DwIA/7tvLi9rZXB0BQZLAOMDDwAGGl8xMDY1NwAG/1YBAAJPbW9yZQQGRgAAAg8ABgsbMQAGTzIzNTIABv9Uj2FuZCB0aGlz/QX/4w8CAP///+',
    '5QAAAAAAAAAAAA3CN4+l8qTRg8AAAARkxBMQYBAAAAAAAAABAAAAAAAAACAAAAAQAAAHCTStSy+SJKRWHHisKcuF/jiCNOQln7W6IzAS7IAyVP',
  ].join(''),
  'base64',
);

export async function start(t: Test, image = WORKSPACE_IMAGE): Promise<RunningSandbox> {
  const sandbox = await driver.start({
    name: `fairlead-test-${randomUUID()}`,
    server: 'workspace',
    image,
    env: {},
    signal: new AbortController().signal,
  });
  t.teardown(() => sandbox.destroy());
  return sandbox;
}

/** Runs a script in the sandbox's workspace; answers what it printed. */
export async function sh(sandbox: RunningSandbox, script: string): Promise<string> {
  const program = await sandbox.exec(['sh', '-c', script], new AbortController().signal);
  program.stdin.end();
  const [stdout, stderr] = await Promise.all([text(program.stdout), text(program.stderr)]);
  const code = await program.exited;
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return stdout;
}

/** What a copy by prototype cannot call, since it has no private members. */
function boundOf(sandbox: RunningSandbox): Pick<RunningSandbox, 'id' | 'confirmUnbroken'> {
  return { id: sandbox.id, confirmUnbroken: async (signal) => sandbox.confirmUnbroken?.(signal) };
}

/** The sandbox, with a look at each program that starts in it. */
export function watched(sandbox: RunningSandbox, look: (program: SandboxProgram) => void): RunningSandbox {
  return Object.assign(Object.create(sandbox) as RunningSandbox, {
    ...boundOf(sandbox),
    exec: async (command: readonly string[], signal: AbortSignal) => {
      const program = await sandbox.exec(command, signal);
      look(program);
      return program;
    },
  });
}

/** The sandbox, which runs this in place of any script, with its arguments. */
export function instead(sandbox: RunningSandbox, command: readonly string[]): RunningSandbox {
  return Object.assign(Object.create(sandbox) as RunningSandbox, {
    ...boundOf(sandbox),
    exec: (given: readonly string[], signal: AbortSignal) => sandbox.exec([...command, ...given.slice(3)], signal),
  });
}
