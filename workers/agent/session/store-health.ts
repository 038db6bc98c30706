/** Asks the store every two seconds whether it answers and takes writes, and reports changes of its health. Agent threads. */
import type { Logger } from '../../../src/shared/log.js';
import type { Store } from '../store/store.js';

const INTERVAL_MS = 2_000;

/** Calls `onChange` with false and the reason when the store stops answering, and with true when it answers again. */
export function watchStore(
  store: Pick<Store, 'ping'>,
  log: Logger,
  onChange: (healthy: boolean, why?: string) => void,
): { close(): void } {
  let healthy = true;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const note = (now: boolean, why?: string): void => {
    if (now === healthy || closed) return;
    healthy = now;
    if (now) log.info('the store answers again');
    else log.error({ err: why }, 'the store does not answer');
    onChange(now, why);
  };
  const check = async (): Promise<void> => {
    try {
      await store.ping();
      note(true);
    } catch (error) {
      note(false, (error as Error).message);
    }
    if (!closed) timer = setTimeout(() => void check(), INTERVAL_MS);
  };
  timer = setTimeout(() => void check(), INTERVAL_MS);
  return {
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}
