/** What a call has changed in the workspace: looked for before and after it, within bounds. Runs in the sandbox. */
import { lstatSync, type BigIntStats } from 'node:fs';
import type { FileChange, FileChanges } from '../../src/shared/protocol.js';
import { errnoOf, ToolFault } from './fault.js';
import { bufferOf, shownPath, type BytePath } from './names.js';
import type { Workspace } from './paths.js';
import { walk, type WalkSummary } from './walk.js';

export interface ChangeLimits {
  /** More files are not compared: then only what was changed meanwhile is told, of those that were looked at. */
  files: number;
  changes: number;
  /** Of one look. A call is not kept waiting for longer. */
  ms: number;
}

const LIMITS: ChangeLimits = { files: 10_000, changes: 200, ms: 250 };

interface Seen {
  version: string;
  size: number;
  changedMs: number;
}

interface Snapshot {
  files: Map<BytePath, Seen>;
  /** There are more. */
  cut: boolean;
}

export class ChangeWatch {
  readonly #workspace: Workspace;
  readonly #before: Snapshot;
  readonly #limits: ChangeLimits;
  readonly #startedMs = Date.now();

  private constructor(workspace: Workspace, before: Snapshot, limits: ChangeLimits) {
    this.#workspace = workspace;
    this.#before = before;
    this.#limits = limits;
  }

  static async start(workspace: Workspace, limits = LIMITS): Promise<ChangeWatch> {
    return new ChangeWatch(workspace, await look(workspace, limits), limits);
  }

  /** Undefined: nothing has changed, as far as was looked. */
  async end(): Promise<FileChanges | undefined> {
    const before = this.#before;
    const after = await look(this.#workspace, this.#limits);
    const isWhole = !before.cut && !after.cut;
    const changes: FileChange[] = [];
    let left = 0;
    const add = (path: BytePath, change: 'created' | 'changed' | 'deleted', size?: number): void => {
      if (changes.length === this.#limits.changes) left++;
      else changes.push({ path: shownPath(path), change, ...(size !== undefined && { size }) });
    };
    for (const [path, { version, size, changedMs }] of after.files) {
      const known = before.files.get(path);
      if (known ? known.version !== version : isWhole || changedMs >= this.#startedMs) {
        add(path, known || !isWhole ? 'changed' : 'created', size);
      }
    }
    if (isWhole) for (const path of before.files.keys()) if (!after.files.has(path)) add(path, 'deleted');
    if (changes.length === 0) return undefined;
    return { changes, ...((left > 0 || !isWhole) && { truncated: true as const }) };
  }
}

async function look(workspace: Workspace, limits: ChangeLimits): Promise<Snapshot> {
  const until = performance.now() + limits.ms;
  const summary: WalkSummary = { scanned: 0, cut: false, unreadable: 0 };
  const files: Snapshot['files'] = new Map();
  const start = { real: workspace.root, shown: '.', exists: true };
  const options = { recursive: true, signal: new AbortController().signal };
  try {
    for await (const { real, name, kind } of walk(start, options, summary)) {
      if (files.size >= limits.files || performance.now() > until) return { files, cut: true };
      if (kind === 'folder') continue;
      const stat = statOf(real);
      if (stat) files.set(name, toSeen(stat));
    }
  } catch (error) {
    if (!(error instanceof ToolFault) && errnoOf(error) === undefined) throw error;
    return { files, cut: true }; // a command has closed its workspace or taken it away; its result is told all the same
  }
  return { files, cut: summary.cut };
}

function statOf(real: BytePath): BigIntStats | undefined {
  try {
    return lstatSync(bufferOf(real), { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined; // a folder that was closed meanwhile
  }
}

function toSeen({ size, mtimeNs, ino, ctimeMs }: BigIntStats): Seen {
  return { version: `${size}.${mtimeNs}.${ino}`, size: Number(size), changedMs: Number(ctimeMs) };
}
