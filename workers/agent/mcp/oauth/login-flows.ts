/** Logins under way: people who are at an authorization server, and the calls that wait for them to come back. Agent threads. */
import { FairleadError } from '../../../../src/shared/errors.js';
import type { LoginEnd, LoginRequest, LoginStarted } from '../../contract/logins.js';
import { FLOW_MS, type FlowOutcome, type StoredFlow } from './records.js';
import type { Secrets } from './secrets.js';

const MAX_FLOWS = 1_000;
/** Another thread, or another server, may be the one that a person comes back to. */
const POLL_MS = 1_000;
/** With less time left a flow is not worth sharing. */
const MIN_LEFT_MS = 60_000;
const TIME_IS_OVER = 'nobody logged in in time';

interface Flow extends LoginStarted {
  /** Who, where, and with which scopes: calls that want the same share it. */
  key: string;
  /** Of its record. */
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

  /** One that is under way, or a new one. ERR_UNAVAILABLE when too many people are away; else as `start`. */
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

  /** Answers when it has ended. */
  wait(id: string): Promise<LoginEnd> {
    const flow = this.#flows.get(id);
    if (!flow) return Promise.resolve({ ok: false, message: TIME_IS_OVER });
    if (flow.end) return Promise.resolve(flow.end);
    this.#poll ??= setInterval(() => void this.#look(), POLL_MS).unref();
    return new Promise((resolve) => flow.waiting.add(resolve));
  }

  /** The one of this record, if it was begun here. */
  ended(name: string, outcome: FlowOutcome): void {
    for (const flow of this.#flows.values()) if (flow.name === name) this.#end(flow, endOf(outcome));
  }

  close(): void {
    for (const flow of this.#flows.values()) this.#remove(flow);
  }

  async #start(key: string, start: () => Promise<Pick<LoginStarted, 'url' | 'issuer'> & { name: string }>) {
    if (this.#flows.size >= MAX_FLOWS) {
      throw new FairleadError('ERR_UNAVAILABLE', 'too many people are logging in now', { retryAfterMs: 30_000 });
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
      return; // the store is away: it is asked again in a second, until the flow's own time is over
    }
    if (!stored) this.#end(flow, { ok: false, message: TIME_IS_OVER });
    else if ('used' in stored && stored.outcome) this.#end(flow, endOf(stored.outcome));
  }

  #remove(flow: Flow): void {
    this.#end(flow, { ok: false, message: TIME_IS_OVER });
    clearTimeout(flow.timer);
    this.#flows.delete(flow.flow);
    if (this.#flows.size > 0) return;
    clearInterval(this.#poll);
    this.#poll = undefined;
  }

  /** It stays until its time is over: whoever is about to wait for it must find out how it ended. */
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
