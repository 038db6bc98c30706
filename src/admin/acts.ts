/** Acts of administrators that all servers of the store do, or the one that has a session: entries of the shared table. Main thread. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { CredentialEntry } from '../../workers/agent/contract/credentials.js';
import type { CredentialMirror, View } from '../credentials/mirror.js';
import { readRecord } from '../credentials/records.js';
import { userName } from '../shared/config-auth.js';
import { errorToData } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';

const ACT_KIND = 'act:';
/** A server that was away for longer has nobody to close any more. */
const LIFE_MS = 60_000;
/** Every server looks at the table five times a second. One that does not take its act in time is away. */
const TAKE_MS = 3_000;
/** To end a session may save its workspace. */
const DONE_MS = 150_000;

const session = z.string().max(128);
/** The administrator, as the audit log of the server that does it names them. */
const by = z.object({ user: userName, credential: z.string().max(300), address: z.string().max(300) }).partial();
const actSchema = z.discriminatedUnion('do', [
  z.object({ do: z.literal('kick'), user: userName }),
  z.object({ do: z.literal('end'), session }),
  z.object({ do: z.literal('cancel'), session, by }),
  // Without `by`: from a server of the version before.
  z.object({ do: z.literal('delete'), session, by: by.optional() }),
  z.object({ do: z.literal('look'), session, admin: userName }),
]);
const stored = z.object({ act: actSchema, taken: z.boolean().optional() });

export type Act = z.infer<typeof actSchema>;
export type SessionAct = Exclude<Act, { do: 'kick' }>;

export interface ActsOptions {
  mirror: () => Pick<CredentialMirror, 'write' | 'remove'>;
  /** Whether this server has the session. */
  isHere: (session: string) => Promise<boolean>;
  /** Does it, and resolves with how many connections or turns that has ended. */
  perform: (act: Act) => Promise<number>;
  log: Logger;
  takeMs?: number;
}

interface Waiting {
  taken: () => void;
  gone: () => void;
}

export class Acts implements View {
  readonly kind = ACT_KIND;
  readonly #options: ActsOptions;
  /** Acts of this server that another one is to do. */
  readonly #waiting = new Map<string, Waiting>();
  /** By act that was posted here, the number of connections that it ended at this server. */
  readonly #done = new Map<string, Promise<number>>();
  readonly #mine = new Set<string>();

  constructor(options: ActsOptions) {
    this.#options = options;
  }

  /** Every server does it, this one before it resolves: with how many it has ended here. ERR_UNAVAILABLE: none does. */
  async tellAll(act: Extract<Act, { do: 'kick' }>): Promise<number> {
    const id = newId();
    this.#mine.add(id);
    try {
      await this.#write(id, act);
      return (await this.#done.get(id)) ?? 0;
    } finally {
      this.#mine.delete(id);
      this.#done.delete(id);
    }
  }

  /** True: the server that has the session has done it. False: it is away, and nothing was done. ERR_UNAVAILABLE. */
  async askOwner(act: SessionAct): Promise<boolean> {
    const id = newId();
    const asked = new Promise<boolean>((resolve) => {
      const away = (): void => resolve(false);
      let timer = setTimeout(away, this.#options.takeMs ?? TAKE_MS);
      this.#waiting.set(id, {
        taken: () => {
          clearTimeout(timer);
          timer = setTimeout(away, DONE_MS);
        },
        gone: () => {
          clearTimeout(timer);
          resolve(true);
        },
      });
    });
    try {
      await this.#write(id, act);
      if (await asked) return true;
      await this.#options.mirror().remove(ACT_KIND + id);
      return false;
    } finally {
      this.#waiting.get(id)?.gone(); // ends the timer
      this.#waiting.delete(id);
    }
  }

  put(id: string, value: string, { endsAt = 0 }: Pick<CredentialEntry, 'endsAt'>): void {
    const found = readRecord(stored, value);
    if (!found) return this.#options.log.warn({ act: id }, 'an act of a newer server is not understood here');
    if (found.taken) return this.#waiting.get(id)?.taken();
    if (endsAt <= Date.now()) return undefined;
    const { act } = found;
    if (act.do === 'kick') {
      const closing = this.#options.perform(act);
      if (this.#mine.has(id)) this.#done.set(id, closing);
      return undefined;
    }
    if (!this.#waiting.has(id)) void this.#take(id, act, endsAt);
    return undefined;
  }

  drop(id: string): void {
    this.#waiting.get(id)?.gone();
  }

  async #take(id: string, act: SessionAct, endsAt: number): Promise<void> {
    const { isHere, perform, mirror, log } = this.#options;
    const key = ACT_KIND + id;
    try {
      if (!(await isHere(act.session))) return;
      await mirror().write({ key, value: JSON.stringify({ act, taken: true }), endsAt: endsAt + DONE_MS });
      await perform(act);
      await mirror().remove(key);
    } catch (error) {
      // The server that asked gets no answer in time, and does it itself.
      log.warn({ ...act, err: errorToData(error).message }, 'what an administrator has asked was not done here');
    }
  }

  async #write(id: string, act: Act): Promise<void> {
    const endsAt = Date.now() + LIFE_MS;
    await this.#options.mirror().write({ key: ACT_KIND + id, value: JSON.stringify({ act }), endsAt });
  }
}

function newId(): string {
  return randomBytes(12).toString('base64url');
}
