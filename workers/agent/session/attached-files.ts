/** Tells the model of files that a person has attached: their names, types and sizes. It reads them with its tools. Agent threads. */
import { errorToData, publicMessage } from '../../../src/shared/errors.js';
import { typeOfName } from '../../../src/shared/file-types.js';
import { pathOf } from '../../docker/files/file-paths.js';
import { shownPath } from '../../workspace/names.js';
import type { StatFileResult } from '../../docker/contract/files.js';
import type { Caller } from '../mcp/host/server-connection.js';
import type { AgentParts } from '../turn/turn.js';

/** To look into a save costs reading it, so the others are only named. */
const MAX_LOOKED_AT = 20;
/** For all of a message: it waits for them. */
const LOOK_MS = 10_000;

/** What the history keeps of an attached file, beside the words for the model. */
export interface AttachedFile {
  /** As lists show it. */
  path: string;
  /** Bytes; absent for what is not there, or was not looked at. */
  size?: number;
}

type Parts = Pick<AgentParts, 'servers' | 'statFile'>;
type Look = StatFileResult | { why: string };

/** A block for each path. Never rejects: a file that is not there costs its block, and is told in words. */
export async function fileBlocks(paths: readonly string[], caller: Caller, parts: Parts): Promise<unknown[]> {
  const deadline = performance.now() + LOOK_MS;
  const blocks: unknown[] = [];
  for (const [index, path] of paths.entries()) {
    const leftMs = deadline - performance.now();
    const isLate = index >= MAX_LOOKED_AT || leftMs <= 0;
    blocks.push(await fileBlock(path, isLate ? undefined : () => look(path, caller, parts, leftMs)));
  }
  return blocks;
}

async function fileBlock(given: string, lookAt: (() => Promise<Look>) | undefined): Promise<unknown> {
  let path: string;
  try {
    path = shownPath(pathOf(given));
  } catch (error) {
    return told({ path: given.slice(0, 200) }, `No such file can be there: ${wordsOf(error)}.`);
  }
  const seen: Look = (await lookAt?.()) ?? {};
  if ('why' in seen) return told({ path }, `It cannot be read: ${seen.why}.`);
  const { stat } = seen;
  if (!stat) return told({ path }, 'Read it with your tools.');
  const type = typeOfName(path);
  const facts = `It has ${stat.size} bytes${type === undefined ? '' : ` and is named as ${type}`}.`;
  return told({ path, size: stat.size }, `${facts} Read it with your tools.`);
}

/** `name` is one line, since it is quoted as JSON: whoever has named the file says nothing else with it. */
function told(file: AttachedFile, words: string): unknown {
  const name = JSON.stringify(`/workspace/${file.path}`);
  return { type: 'text', text: `[The user has attached the file ${name}. ${words}]`, file };
}

/** In the sandbox or in the save, whichever there is. No sandbox is started for it. */
async function look(path: string, caller: Caller, { servers, statFile }: Parts, timeoutMs: number): Promise<Look> {
  try {
    const { server, release } = await servers.holdWorkspace(caller, undefined, false);
    try {
      return await statFile({ session: caller.session, server, path }, timeoutMs);
    } finally {
      release?.();
    }
  } catch (error) {
    return { why: wordsOf(error) };
  }
}

function wordsOf(error: unknown): string {
  return publicMessage(errorToData(error));
}
