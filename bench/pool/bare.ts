/** The predecessor's way: a container made by dockerode for one person, greeted by hand; every wait has an end. */
import type { BareContainer, BareContainers } from '../bare-container.js';
import { orInterrupted } from '../report.js';

const GREET_MS = 120_000;

/** Resolves when it is created, attached, started and has answered `initialize`. One that is being made is never let go half-made. */
export async function greeted(bares: BareContainers, signal: AbortSignal): Promise<BareContainer> {
  signal.throwIfAborted();
  const container = await bares.make();
  await orInterrupted(container.greet(), AbortSignal.any([signal, AbortSignal.timeout(GREET_MS)]));
  return container;
}

/** All settle before the first error is thrown: what is still being made could not be removed. */
export async function allOf(work: readonly Promise<unknown>[]): Promise<void> {
  const settled = await Promise.allSettled(work);
  for (const one of settled) if (one.status === 'rejected') throw one.reason;
}
