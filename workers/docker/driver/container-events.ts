/** Follows Docker's events of our containers, and reconnects when the stream breaks. Docker thread. */
import type Docker from 'dockerode';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../../src/shared/log.js';
import { LABEL_INSTANCE } from './container-options.js';
import type { SandboxWatcher } from './driver.js';
import { OomLog } from './oom-log.js';

const AGAIN_MS = 1_000;
/** Those that end a container for us (a paused one answers nobody), and the kernel's kill of a program in one. */
const FILTERS = { type: ['container' as const], event: ['die', 'destroy', 'pause', 'oom'] };

export interface ContainerEventsOptions {
  docker: Docker;
  instance: string;
  watcher: SandboxWatcher;
  log: Logger;
}

/** Runs until the signal aborts. Calls `onBack` at each connect, the first one included: events may have been missed. */
export async function followContainers(options: ContainerEventsOptions, signal: AbortSignal): Promise<void> {
  const { log } = options;
  for (let again = false; !signal.aborted; again = true) {
    try {
      await follow(options, again, signal);
    } catch (error) {
      if (!signal.aborted) log.debug({ err: error }, 'docker: no container events');
    }
    await delay(AGAIN_MS, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
  }
}

async function follow(
  { docker, instance, watcher, log }: ContainerEventsOptions,
  again: boolean,
  signal: AbortSignal,
): Promise<void> {
  const filters = { ...FILTERS, label: [`${LABEL_INSTANCE}=${instance}`] };
  const stream = (await docker.getEvents({ filters, abortSignal: signal })) as Readable;
  stream.on('error', (error) => log.debug({ err: error }, 'docker: the stream of container events broke'));
  watcher.onBack(again);
  const oomLog = new OomLog(log); // events of the time between two streams are missed, and so what to forget
  for await (const line of createInterface({ input: stream })) {
    const { action, name } = eventOf(line);
    if (name === undefined) continue;
    const given = nameGiven(name);
    if (action === 'oom') {
      oomLog.note(given, name);
      continue;
    }
    oomLog.forget(given);
    watcher.onDead(given);
  }
}

/** The name from the start, without the session of a leased container: `NAME.SESSION`. */
export function nameGiven(name: string): string {
  return name.replace(/^\//, '').replace(/\..*$/, '');
}

function eventOf(line: string): { action?: string | undefined; name?: string | undefined } {
  try {
    const { Action: action, Actor } = JSON.parse(line) as {
      Action?: string;
      Actor?: { Attributes?: { name?: string } };
    };
    return { action, name: Actor?.Attributes?.name };
  } catch {
    return {}; // half a line: the daemon ended while it wrote
  }
}
