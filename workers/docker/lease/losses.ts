/**
 * Losses of files on their way to their sessions: kept on disk until the session's log has them, so that a session that is not
 * loaded is told too, and so that no crash in between swallows one. Docker thread.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { withDeadline } from '../../../src/shared/abort.js';
import { errorToData, FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter } from '../../../src/shared/metrics.js';
import { ownerKey, type Owner, type Workspaces } from '../archive/workspaces.js';
import type { Loss, LossTold, SavedWorkspace } from '../contract/messages.js';
import { syncPath } from './sync-path.js';

const AGAIN_MS = 1_000;
const MAX_AGAIN_MS = 30_000;
const TEMPORARY = '~new';
/** Of a loss's `missing`: one event must stay small. */
const MAX_MISSING = 20;

const lossShape = z.object({
  id: z.string().regex(/^[A-Za-z0-9_.-]{1,200}$/),
  session: z.string(),
  server: z.string(),
  reason: z.string(),
  since: z.number().optional(),
  missing: z.array(z.string()).optional(),
  /** The session that held the sandbox, where others shared it. */
  holder: z.string().optional(),
});

const lost = counter('fairlead_sandbox_losses_total', 'Sandboxes whose session has lost files', ['server']);

/** A loss, and whose sandbox it was where that is not its session's alone. */
type HeldLoss = Loss & { holder?: string | undefined };

/** Which lease has ended badly. */
export interface LossSource extends Owner {
  readonly id: string;
  /** The sessions that are told in place of the owner: they shared its sandbox. */
  readonly changedBy?: Iterable<string> | undefined;
}

/** What is known at once, while the rest is still read. */
export type LossOf = LossSource & Pick<Loss, 'reason'>;

interface Pending {
  /** Whose next sandbox waits for it. */
  readonly owner: Owner;
  /** Resolves when it is on disk. Never rejects. */
  written: Promise<void>;
  /** Resolves when the session is told or another server's. Never rejects. */
  told: Promise<void>;
}

export interface LossesOptions {
  /** Created on load, mode 0700. */
  folder: string;
  tell: (loss: Loss) => Promise<LossTold>;
  log: Logger;
}

export class Losses {
  readonly #options: LossesOptions;
  readonly #pending = new Map<string, Pending>();
  /** Those of sessions that another server has: told when such a session comes back. */
  readonly #elsewhere = new Map<string, HeldLoss>();
  readonly #closing = new AbortController();

  constructor(options: LossesOptions) {
    this.#options = options;
  }

  /** Tells what an earlier run could not. ERR_SANDBOX: the folder cannot be used. */
  load(): void {
    const { folder, log } = this.#options;
    let names: string[];
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      names = readdirSync(folder).filter((name) => !name.endsWith(TEMPORARY));
    } catch (error) {
      const why = `the folder of lost files cannot be used: ${(error as Error).message}`;
      throw new FairleadError('ERR_SANDBOX', why, { cause: error });
    }
    for (const name of names) {
      const loss = parse(join(folder, name));
      if (loss) this.#track(loss, Promise.resolve(loss));
      else log.warn({ file: name }, 'a loss of files cannot be read');
    }
  }

  /** Resolves when it is on disk: from then on the sandbox's record may go. `rest` must not reject. */
  async note(
    { id, session, server, reason, changedBy = [] }: LossOf,
    rest: Promise<Pick<Loss, 'since' | 'missing'>>,
  ): Promise<void> {
    lost.inc({ server });
    this.#options.log.warn({ session, server, reason }, 'files of a session are lost');
    const sharers = [...changedBy].map((each) => ({ id: `${id}.${each}`, session: each, server, holder: session }));
    const each = (sharers.length > 0 ? sharers : [{ id, session, server }]).map((of) => {
      const loss = rest.then(({ since, missing }): HeldLoss => ({
        ...of,
        reason,
        ...(since === undefined ? {} : { since }),
        ...(missing === undefined || missing.length === 0 ? {} : { missing }),
      }));
      return this.#track(of, loss).written;
    });
    await Promise.all(each);
  }

  /** Resolves when this session has been told of its losses. ERR_UNAVAILABLE after `timeoutMs`; the signal's reason. */
  async settled(owner: Owner, signal: AbortSignal, timeoutMs: number): Promise<void> {
    const key = ownerKey(owner);
    for (const [id, loss] of this.#elsewhere) {
      if (ownerKey(holderOf(loss)) !== key) continue;
      this.#elsewhere.delete(id);
      this.#track(loss, Promise.resolve(loss));
    }
    const open = [...this.#pending.values()].filter((each) => ownerKey(each.owner) === key);
    if (open.length === 0) return;
    const text = 'the session could not be told of its lost files in time';
    const late = (): Error => new FairleadError('ERR_UNAVAILABLE', text, { retryAfterMs: AGAIN_MS });
    await withDeadline({ timeoutMs, late, signal }, () => Promise.all(open.map(({ told }) => told)));
  }

  /** Tells no more: what is left is told by the next start. Resolves when all is on disk. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#pending.values()].map(({ written }) => written));
  }

  #track(of: Omit<HeldLoss, 'reason'>, loss: Promise<HeldLoss>): Pending {
    const known = this.#pending.get(of.id);
    if (known) return known;
    const written = this.#write(loss);
    const told = this.#tell(loss, written);
    const pending: Pending = { owner: holderOf(of), written, told };
    this.#pending.set(of.id, pending);
    return pending;
  }

  /** Also when it cannot be written: then it is told if this process lives long enough. */
  async #write(coming: Promise<HeldLoss>): Promise<void> {
    const loss = await coming;
    const path = this.#pathOf(loss);
    try {
      writeFileSync(`${path}${TEMPORARY}`, JSON.stringify(loss), { mode: 0o600 });
      await syncPath(`${path}${TEMPORARY}`);
      await rename(`${path}${TEMPORARY}`, path);
      await syncPath(this.#options.folder);
    } catch (error) {
      this.#options.log.error({ err: error, ...loss }, 'a loss of files could not be written down');
    }
  }

  async #tell(coming: Promise<HeldLoss>, written: Promise<void>): Promise<void> {
    const elsewhere = await this.#tellUntilTold(coming, written);
    const { id } = await coming;
    this.#pending.delete(id); // first: whoever finds it elsewhere tracks it anew
    if (elsewhere) this.#elsewhere.set(id, elsewhere);
  }

  /** Resolves with the loss when another server has its session. */
  async #tellUntilTold(coming: Promise<HeldLoss>, written: Promise<void>): Promise<HeldLoss | undefined> {
    const held = await coming;
    const { holder: _holder, ...loss } = held;
    await written; // first, so that `told` removes what was written
    const { log, tell } = this.#options;
    const { signal } = this.#closing;
    for (let againMs = AGAIN_MS; !signal.aborted; againMs = Math.min(MAX_AGAIN_MS, 2 * againMs)) {
      try {
        const { told } = await tell(loss);
        if (!told) return held;
        await rm(this.#pathOf(loss), { force: true });
        return undefined;
      } catch (error) {
        log.debug(
          { err: errorToData(error).message, session: loss.session },
          'a session is not told yet of lost files',
        );
        await delay(againMs, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
      }
    }
    return undefined;
  }

  #pathOf({ id }: Pick<Loss, 'id'>): string {
    return join(this.#options.folder, id);
  }
}

/** Undefined for half a file, which a power failure left. */
function parse(path: string): HeldLoss | undefined {
  try {
    return lossShape.parse(JSON.parse(readFileSync(path, 'utf8'))) as HeldLoss;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

/** The same for all who find that this lease has ended badly: it is one loss. */
export function lossOf(
  name: string,
  {
    session,
    server,
    leasedAt = 0,
    changedBy,
  }: Owner & { leasedAt?: number | undefined; changedBy?: Iterable<string> | undefined },
): LossSource {
  return { id: `${name}.${leasedAt}`, session, server, changedBy };
}

function holderOf({ holder, session, server }: Omit<HeldLoss, 'reason' | 'id'>): Owner {
  return { session: holder ?? session, server };
}

export async function whatComesBack(
  workspaces: Pick<Workspaces, 'newest'>,
  owner: Owner,
): Promise<Pick<Loss, 'since' | 'missing'>> {
  const saved = await workspaces.newest(owner);
  return saved ? { since: saved.savedAt, missing: pathsOf(saved) } : {};
}

/** Files that the last save of a sandbox left out go with it. */
export async function noteSkipped(losses: Losses | undefined, of: LossSource, saved: SavedWorkspace): Promise<void> {
  if (saved.skipped.count === 0) return;
  const rest = Promise.resolve({ since: saved.savedAt, missing: pathsOf(saved) });
  await losses?.note({ ...of, reason: 'some of its files could not be saved' }, rest);
}

function pathsOf({ skipped: { count, paths } }: SavedWorkspace): string[] {
  const named = paths.slice(0, MAX_MISSING).map(({ path, reason }) => `${path} (${reason})`);
  return count > named.length ? [...named, `and ${count - named.length} more`] : named;
}
