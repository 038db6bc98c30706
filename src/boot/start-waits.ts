/** The boot waits here for the store and for Docker. It does not wait for the model, since the rest serves without one. Main thread. */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../shared/backoff.js';
import type { Config } from '../shared/config.js';
import { errorToData, isFairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Parts } from './parts.js';
import { probeDocker } from './docker-detect.js';
import { AGAIN, waitForPart } from './part-wait.js';
import type { Readiness } from './readiness.js';

/** Starts of the agent threads that may fail although the store answers. */
const MAX_FAILURES = 3;

export interface StartWaitsOptions {
  config: Config;
  parts: Parts;
  log: Logger;
  readiness: Pick<Readiness, 'waitsFor'>;
  /** The stop of the server; its reason ends a wait. */
  signal: AbortSignal;
  /** Listens already, so that a probe learns what the server waits for. Called at each wait. */
  listen: () => Promise<unknown>;
}

export class StartWaits {
  readonly #options: StartWaitsOptions;
  #toldEviction = false;

  constructor(options: StartWaitsOptions) {
    this.#options = options;
  }

  /** Resolves when all parts answer, with what is known of them then. ERR_START; the signal's reason. */
  async all(): Promise<Parts> {
    const { parts, signal } = this.#options;
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    try {
      const [sandbox] = await Promise.all([this.#docker(either), this.#store(either)]);
      return { ...parts, sandbox };
    } finally {
      failed.abort(); // one that has failed ends the wait for the other
    }
  }

  /** Runs `start` when the store answers, and again where it had gone meanwhile. */
  async withStore<T>(start: () => Promise<T>): Promise<T> {
    const { parts, log, signal } = this.#options;
    for (let failures = 1; ; failures++) {
      await this.#store(signal);
      try {
        return await start();
      } catch (error) {
        if (parts.store.kind === 'lmdb' || failures === MAX_FAILURES || !isFairleadError(error, 'ERR_START'))
          throw error;
        log.warn({ err: error.message }, 'the agent threads did not start: the store is asked again');
        await this.#pause(failures);
      }
    }
  }

  /** Runs what only a store that answers can do, until it does. */
  async untilAvailable<T>(work: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await work();
      } catch (error) {
        if (!isFairleadError(error, 'ERR_UNAVAILABLE')) throw error;
        this.#options.log.warn(
          { err: errorToData(error).message },
          'sessions with open turns could not be looked up yet',
        );
        await this.#pause(failures);
      }
    }
  }

  async #docker(signal: AbortSignal): Promise<Parts['sandbox']> {
    const { config, parts } = this.#options;
    if (parts.sandbox.driver === 'process') return parts.sandbox;
    const { describe } = await this.#wait('Docker', (within) => probeDocker(config, within), signal);
    return { driver: 'docker', describe };
  }

  async #store(signal: AbortSignal): Promise<void> {
    const { config, parts, log } = this.#options;
    if (parts.store.kind === 'lmdb') return;
    const { probeRedis } = await import('../shared/redis-probe.js'); // its client is loaded only where there is a Redis
    const { evicts } = await this.#wait('Redis', (within) => probeRedis(config.store.redisUrl, within), signal);
    if (evicts === undefined || this.#toldEviction) return;
    this.#toldEviction = true;
    log.warn(
      `Redis drops conversations when it is full: its maxmemory-policy is ${evicts}. CONFIG SET maxmemory-policy noeviction, and in redis.conf`,
    );
  }

  #wait<T>(name: string, ask: Parameters<typeof waitForPart<T>>[0]['ask'], signal: AbortSignal) {
    const { log, readiness, listen } = this.#options;
    const onWait = async (reason: string | undefined): Promise<void> => {
      readiness.waitsFor(name, reason);
      if (reason !== undefined) await listen();
    };
    return waitForPart({ name, ask, log, onWait, signal });
  }

  async #pause(failures: number): Promise<void> {
    const { signal } = this.#options;
    await delay(Math.round(backoffMs(failures, AGAIN)), undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
