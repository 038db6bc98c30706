/** Docker's own news of our containers, as a stream that is opened again whenever it breaks. Docker thread. */
import type Docker from 'dockerode';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../../src/shared/log.js';
import { LABEL_INSTANCE } from './container-options.js';
import type { SandboxWatcher } from './driver.js';

const AGAIN_MS = 1_000;
/** What ends a container for us: a paused one answers nobody, whoever has paused it. */
const FILTERS = { type: ['container' as const], event: ['die', 'destroy', 'pause'] };

export interface ContainerEventsOptions {
  docker: Docker;
  instance: string;
  watcher: SandboxWatcher;
  log: Logger;
}

/** Runs until the signal aborts. `onBack` each time that the daemon answers, the first time too: news may have been missed. */
export async function followContainers(options: ContainerEventsOptions, signal: AbortSignal): Promise<void> {
  const { log } = options;
  while (!signal.aborted) {
    try {
      await follow(options, signal);
    } catch (error) {
      if (!signal.aborted) log.debug({ err: error }, 'docker: no news of containers');
    }
    await delay(AGAIN_MS, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
  }
}

async function follow({ docker, instance, watcher, log }: ContainerEventsOptions, signal: AbortSignal): Promise<void> {
  const filters = { ...FILTERS, label: [`${LABEL_INSTANCE}=${instance}`] };
  const stream = (await docker.getEvents({ filters, abortSignal: signal })) as Readable;
  stream.on('error', (error) => log.debug({ err: error }, 'docker: the stream of news broke'));
  watcher.onBack();
  for await (const line of createInterface({ input: stream })) {
    const name = nameOf(line);
    if (name) watcher.onDead(nameGiven(name));
  }
}

/** Without what was added when it became somebody's: `NAME.SESSION`. */
export function nameGiven(name: string): string {
  return name.replace(/^\//, '').replace(/\..*$/, '');
}

function nameOf(line: string): string | undefined {
  try {
    return (JSON.parse(line) as { Actor?: { Attributes?: { name?: string } } }).Actor?.Attributes?.name;
  } catch {
    return undefined; // half a line, when the daemon ended in the middle of it
  }
}
