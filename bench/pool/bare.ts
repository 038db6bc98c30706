/** The way without a pool: a container made by dockerode for one user, with the MCP handshake by hand; every wait has a deadline. */
import type { BareContainer, BareContainers } from '../shared/bare-container.js';
import { orInterrupted } from '../shared/work.js';

const HANDSHAKE_MS = 120_000;

/** Resolves when the container is started, attached, and has answered `initialize`. An interruption waits until it is made, so that it can be removed. */
export async function withHandshake(bares: BareContainers, signal: AbortSignal): Promise<BareContainer> {
  signal.throwIfAborted();
  const container = await bares.make();
  await orInterrupted(container.handshake(), AbortSignal.any([signal, AbortSignal.timeout(HANDSHAKE_MS)]));
  return container;
}

/** Waits for all before the first error is thrown: a container that is still being made could not be removed. */
export async function allOf(work: readonly Promise<unknown>[]): Promise<void> {
  const settled = await Promise.allSettled(work);
  for (const one of settled) if (one.status === 'rejected') throw one.reason;
}
