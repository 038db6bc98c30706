/** Running logins: users at an authorization server, and the calls that wait for their return. Agent threads. */
import { LRUCache } from 'lru-cache';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { LoginEnd, LoginRequest, LoginStarted } from '../../contract/logins.js';
import { FLOW_MS, type FlowOutcome, type StoredFlow } from './records.js';
import type { Secrets } from './secrets.js';

const MAX_FLOWS = 1_000;
/** Of one user; a newer one takes the place of the oldest, so that nobody locks themselves out. */
const MAX_OF_USER = 5;
/** Flows that have ended, for calls that are about to wait for them. */
const MAX_ENDED = 1_000;
/** The user may come back to another thread or server, so the store is polled. */
const POLL_MS = 1_000;
/** A flow with less time left is not shared. */
const MIN_LEFT_MS = 60_000;
const REPLACED = 'a newer login took its place';
const EXPIRED = 'nobody logged in in time';

interface Flow extends LoginStarted {
  /** User, server and scopes: equal logins share a flow. */
  key: string;
  user: string;
  /** Of its record in the store. */
  name: string;
  /** All its records in the store. */
  records: readonly string[];
  readonly waiting: Set<(end: LoginEnd) => void>;
  readonly timer: NodeJS.Timeout;
}

type Begun = Pick<LoginStarted, 'url' | 'issuer'> & Pick<Flow, 'name' | 'records'>;

export class LoginFlows {
  readonly #secrets: Secrets;
  readonly #flows = new Map<string, Flow>();
  readonly #ended = new LRUCache<string, LoginEnd>({ max: MAX_ENDED, ttl: FLOW_MS });
  readonly #starting = new Map<string, Promise<LoginStarted>>();
  #made = 0;
  #poll: NodeJS.Timeout | undefined;

  constructor(secrets: Secrets) {
    this.#secrets = secrets;
  }

  /** Joins a running flow or starts one. ERR_UNAVAILABLE when too many run; errors of `start`. */
  async begin(
    { user, server, scope = '', stepUp = false }: LoginRequest,
    redirectUrl: string,
    start: () => Promise<Begun>,
  ): Promise<LoginStarted> {
    const key = JSON.stringify([user, server, scope, stepUp, redirectUrl]);
    const known = [...this.#flows.values()].find((flow) => flow.key === key && flow.endsAt > Date.now() + MIN_LEFT_MS);
    if (known) return publicPart(known);
    const starting = this.#starting.get(key) ?? this.#start(user, key, start);
    this.#starting.set(key, starting);
    try {
      return await starting;
    } finally {
      if (this.#starting.get(key) === starting) this.#starting.delete(key);
    }
  }

  /** Resolves when the flow has ended. */
  wait(id: string): Promise<LoginEnd> {
    const flow = this.#flows.get(id);
    if (!flow) return Promise.resolve(this.#ended.get(id) ?? { ok: false, message: EXPIRED });
    this.#poll ??= setInterval(() => void this.#look(), POLL_MS).unref();
    return new Promise((resolve) => flow.waiting.add(resolve));
  }

  /** Ends the flow of this record, if it was started here. */
  ended(name: string, outcome: FlowOutcome): void {
    for (const flow of this.#flows.values()) if (flow.name === name) this.#end(flow, endOf(outcome));
  }

  close(): void {
    for (const flow of this.#flows.values()) this.#end(flow, { ok: false, message: EXPIRED });
  }

  async #start(user: string, key: string, start: () => Promise<Begun>) {
    this.#makeRoom(user);
    if (this.#flows.size + this.#starting.size >= MAX_FLOWS) {
      throw new FairleadError('ERR_UNAVAILABLE', 'too many users are logging in now', { retryAfterMs: 30_000 });
    }
    const begun = await start();
    this.#makeRoom(user);
    const id = String(++this.#made);
    const timer = setTimeout(() => this.#end(flow, { ok: false, message: EXPIRED }), FLOW_MS).unref();
    const flow: Flow = { ...begun, flow: id, endsAt: Date.now() + FLOW_MS, user, key, waiting: new Set(), timer };
    this.#flows.set(id, flow);
    return publicPart(flow);
  }

  /** The oldest come first in the map. */
  #makeRoom(user: string): void {
    const mine = [...this.#flows.values()].filter((flow) => flow.user === user);
    for (const flow of mine.slice(0, Math.max(0, mine.length - MAX_OF_USER + 1))) {
      this.#end(flow, { ok: false, message: REPLACED });
      // Its address must lead nowhere. A store that is away lets it expire there.
      for (const name of flow.records) void this.#secrets.remove(name).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const waitedFor = [...this.#flows.values()].filter(({ waiting }) => waiting.size > 0);
    if (waitedFor.length === 0) {
      clearInterval(this.#poll);
      this.#poll = undefined;
    }
    await Promise.all(waitedFor.map((flow) => this.#lookAt(flow)));
  }

  async #lookAt(flow: Flow): Promise<void> {
    let stored: StoredFlow | undefined;
    try {
      stored = (await this.#secrets.read(flow.name))?.value as StoredFlow | undefined;
    } catch {
      return; // the store is unavailable: the next poll asks again, until the flow expires
    }
    if (!stored) this.#end(flow, { ok: false, message: EXPIRED });
    else if ('used' in stored && stored.outcome) this.#end(flow, endOf(stored.outcome));
  }

  /** Gives the flow's place back. How it ended is kept for a call that is about to wait. */
  #end(flow: Flow, end: LoginEnd): void {
    clearTimeout(flow.timer);
    this.#flows.delete(flow.flow);
    this.#ended.set(flow.flow, end);
    for (const resolve of flow.waiting) resolve(end);
    flow.waiting.clear();
    if (this.#flows.size > 0) return;
    clearInterval(this.#poll);
    this.#poll = undefined;
  }
}

function publicPart({ flow, url, issuer, endsAt }: Flow): LoginStarted {
  return { flow, url, issuer, endsAt };
}

function endOf({ ok, message }: FlowOutcome): LoginEnd {
  return ok ? { ok } : { ok, message: message ?? 'the login failed' };
}
