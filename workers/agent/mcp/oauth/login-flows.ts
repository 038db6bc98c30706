/** Running logins: users at an authorization server, and the calls that wait for their return. Agent threads. */
import { FairleadError } from '../../../../src/shared/errors.js';
import type { LoginEnd, LoginRequest, LoginStarted } from '../../contract/logins.js';
import { FLOW_MS, type FlowOutcome, type StoredFlow } from './records.js';
import type { Secrets } from './secrets.js';

const MAX_FLOWS = 1_000;
/** The user may come back to another thread or server, so the store is polled. */
const POLL_MS = 1_000;
/** A flow with less time left is not shared. */
const MIN_LEFT_MS = 60_000;
const EXPIRED = 'nobody logged in in time';

interface Flow extends LoginStarted {
  /** User, server and scopes: equal logins share a flow. */
  key: string;
  /** Of its record in the store. */
  name: string;
  end?: LoginEnd;
  readonly waiting: Set<(end: LoginEnd) => void>;
  readonly timer: NodeJS.Timeout;
}

export class LoginFlows {
  readonly #secrets: Secrets;
  readonly #flows = new Map<string, Flow>();
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
    start: () => Promise<Pick<LoginStarted, 'url' | 'issuer'> & { name: string }>,
  ): Promise<LoginStarted> {
    const key = JSON.stringify([user, server, scope, stepUp, redirectUrl]);
    const known = [...this.#flows.values()].find(
      (flow) => flow.key === key && !flow.end && flow.endsAt > Date.now() + MIN_LEFT_MS,
    );
    if (known) return publicPart(known);
    const starting = this.#starting.get(key) ?? this.#start(key, start);
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
    if (!flow) return Promise.resolve({ ok: false, message: EXPIRED });
    if (flow.end) return Promise.resolve(flow.end);
    this.#poll ??= setInterval(() => void this.#look(), POLL_MS).unref();
    return new Promise((resolve) => flow.waiting.add(resolve));
  }

  /** Ends the flow of this record, if it was started here. */
  ended(name: string, outcome: FlowOutcome): void {
    for (const flow of this.#flows.values()) if (flow.name === name) this.#end(flow, endOf(outcome));
  }

  close(): void {
    for (const flow of this.#flows.values()) this.#remove(flow);
  }

  async #start(key: string, start: () => Promise<Pick<LoginStarted, 'url' | 'issuer'> & { name: string }>) {
    if (this.#flows.size >= MAX_FLOWS) {
      throw new FairleadError('ERR_UNAVAILABLE', 'too many users are logging in now', { retryAfterMs: 30_000 });
    }
    const { url, issuer, name } = await start();
    const id = String(++this.#made);
    const timer = setTimeout(() => this.#remove(flow), FLOW_MS).unref();
    const flow: Flow = { flow: id, url, issuer, endsAt: Date.now() + FLOW_MS, key, name, waiting: new Set(), timer };
    this.#flows.set(id, flow);
    return publicPart(flow);
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

  #remove(flow: Flow): void {
    this.#end(flow, { ok: false, message: EXPIRED });
    clearTimeout(flow.timer);
    this.#flows.delete(flow.flow);
    if (this.#flows.size > 0) return;
    clearInterval(this.#poll);
    this.#poll = undefined;
  }

  /** The flow stays until it expires: a call that is about to wait must still learn how it ended. */
  #end(flow: Flow, end: LoginEnd): void {
    flow.end ??= end;
    for (const resolve of flow.waiting) resolve(flow.end);
    flow.waiting.clear();
  }
}

function publicPart({ flow, url, issuer, endsAt }: Flow): LoginStarted {
  return { flow, url, issuer, endsAt };
}

function endOf({ ok, message }: FlowOutcome): LoginEnd {
  return ok ? { ok } : { ok, message: message ?? 'the login failed' };
}
