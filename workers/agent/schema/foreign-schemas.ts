/**
 * The one door to schemas of MCP servers, which nobody trusts: a pattern like `^(a+)+$` would hold the thread for all of its
 * sessions. What is not known to be cheap is checked in a schema thread, which is ended at a deadline. Agent threads.
 */
import type { JsonSchemaValidator } from '@modelcontextprotocol/client';
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Logger } from '../../../src/shared/log.js';
import { counter } from '../../../src/shared/metrics.js';
import { validatorOf } from '../../schema/validator.js';
import { cheapParts, isCheapFor } from './cheap-schema.js';
import { CheckQueue } from './check-queue.js';
import type { CheckTimes } from './check-thread.js';

export type Fit =
  /** `unchecked`: the schema is no valid one. */
  | { fits: true; unchecked?: true }
  | { fits: false; unchecked?: false; problem: string }
  /** It could not be checked, and counts as one that does not fit. The text says why, and names the schema as the cause. */
  | { fits: false; unchecked: true; problem: string };

/** On whose account a check runs. */
export interface CheckOwner {
  user: string;
  /** Whose schema it is. */
  server: string;
}

export interface ForeignSchemasOptions {
  log: Logger;
  times?: Partial<ForeignSchemaTimes>;
}

export interface ForeignSchemaTimes extends CheckTimes {
  /**
   * No schema of a server is tried again for so long for a user with whom one was too slow. A schema that was too slow with several
   * users is not tried for anybody: with one alone, the value may have been made to be slow.
   */
  pauseMs: number;
}

const TIMES: ForeignSchemaTimes = { checkMs: 1_000, startMs: 10_000, idleMs: 60_000, pauseMs: 10_000 };
const MAX_SCHEMA_CHARS = 262_144;
const MAX_VALUE_CHARS = 1_048_576;
const MAX_PAUSED = 1_000;
/** So many users make it the schema's fault. */
const MAX_BLAMING = 3;
const MAX_PROBLEM = 1_000;
const FITS: Fit = { fits: true };
const NO_SCHEMA: Fit = { fits: true, unchecked: true };

const slowTotal = counter('fairlead_slow_schemas_total', 'Checks against schemas of MCP servers that were ended', [
  'server',
]);

interface Known {
  /** Undefined for a schema that is checked in a schema thread. */
  cheap?: { parts: number; validate: JsonSchemaValidator<unknown> | undefined };
  text?: string | undefined;
}

export class ForeignSchemas {
  readonly #log: Logger;
  readonly #times: ForeignSchemaTimes;
  readonly #queue: CheckQueue;
  /** Keyed by the schema, so that what is compiled goes with a catalogue that is replaced. */
  readonly #known = new WeakMap<object, Known>();
  /** Servers with a slow schema by user, and schemas that are slow with many by their hash: until when they are not tried. */
  readonly #paused = new LRUCache<string, number>({ max: MAX_PAUSED });
  /** Slow schema → users. */
  readonly #blaming: LRUCache<string, Set<string>>;

  constructor({ log, times }: ForeignSchemasOptions) {
    this.#log = log;
    this.#times = { ...TIMES, ...times };
    this.#blaming = new LRUCache({ max: MAX_PAUSED, ttl: this.#times.pauseMs });
    this.#queue = new CheckQueue(this.#times);
  }

  /** Schema threads that run now. */
  get threads(): number {
    return this.#queue.threads;
  }

  /** Never rejects. A schema that is no valid one lets everything pass: its server checks what it gets itself. */
  async check(schema: Record<string, unknown>, value: unknown, owner: CheckOwner): Promise<Fit> {
    const known = this.#of(schema, owner);
    const { cheap } = known;
    if (cheap && isCheapFor(cheap.parts, value)) return cheap.validate ? toFit(cheap.validate(value)) : NO_SCHEMA;
    return this.#checkApart(known, schema, value, owner);
  }

  close(): void {
    this.#queue.close();
  }

  #of(schema: Record<string, unknown>, { server }: CheckOwner): Known {
    let known = this.#known.get(schema);
    if (!known) {
      const parts = cheapParts(schema);
      known = parts === undefined ? {} : { cheap: { parts, validate: this.#compile(schema, server) } };
      this.#known.set(schema, known);
    }
    return known;
  }

  #compile(schema: Record<string, unknown>, server: string): JsonSchemaValidator<unknown> | undefined {
    try {
      return validatorOf(schema);
    } catch (error) {
      this.#noteInvalid(server, (error as Error).message);
      return undefined;
    }
  }

  async #checkApart(known: Known, schema: object, value: unknown, owner: CheckOwner): Promise<Fit> {
    const { user, server } = owner;
    const text = (known.text ??= toJson(schema));
    if (text === undefined || text.length > MAX_SCHEMA_CHARS) return unchecked('its schema is too large to be checked');
    const valueText = toJson(value);
    if (valueText === undefined || valueText.length > MAX_VALUE_CHARS) {
      return unchecked(`it is too large to be checked (at most ${MAX_VALUE_CHARS} characters)`);
    }
    const hash = createHash('sha256').update(text).digest('base64url');
    const mine = JSON.stringify([user, server]);
    const now = performance.now();
    if ([hash, mine].some((key) => (this.#paused.get(key) ?? 0) > now)) return unchecked(SLOW);
    const result = await this.#queue.check(user, { schema: text, value: valueText });
    switch (result.type) {
      case 'fits':
        return FITS;
      case 'misfit':
        return { fits: false, problem: result.problem };
      case 'no-schema':
        this.#noteInvalid(server, result.why);
        return NO_SCHEMA;
      case 'full':
        return unchecked('too many other checks wait; try again in a moment');
      case 'slow':
      case 'died':
        this.#pause(mine);
        if (this.#blame(hash, user) >= MAX_BLAMING) this.#pause(hash);
        slowTotal.inc({ server });
        this.#log.warn({ server, user, why: result.type }, 'a check against a schema of this mcp server was ended');
        return unchecked(SLOW);
    }
  }

  #pause(key: string): void {
    this.#paused.set(key, performance.now() + this.#times.pauseMs);
  }

  /** Returns with how many users the schema has been too slow lately. */
  #blame(hash: string, user: string): number {
    const users = this.#blaming.get(hash) ?? new Set<string>();
    if (users.size === 0) this.#blaming.set(hash, users);
    return users.add(user).size;
  }

  #noteInvalid(server: string, why: string): void {
    this.#log.warn({ server, err: why.slice(0, MAX_PROBLEM) }, 'a schema of this mcp server is not valid');
  }
}

const SLOW = 'its schema takes too long to be checked';

function toFit(result: ReturnType<JsonSchemaValidator<unknown>>): Fit {
  return result.valid ? FITS : { fits: false, problem: result.errorMessage.slice(0, MAX_PROBLEM) };
}

function unchecked(problem: string): Fit {
  return { fits: false, unchecked: true, problem };
}

/** Undefined for what is no JSON, or too deep for the stack. */
function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return undefined;
    throw error;
  }
}
