/** The child's side of a contract: answers what the bench asks over IPC, and ends with it. Runs in each child process. */
import type { Answer, Contract, Handlers, Question } from './messages.js';

/** `end`: before the process does, whichever way it is ended. */
export function serve<C extends Contract>(handlers: Handlers<C>, end?: () => Promise<void>): void {
  let ending: Promise<void> | undefined;
  const exit = (): void => {
    ending ??= Promise.resolve(end?.())
      .catch((error: unknown) => console.error(error))
      .finally(() => process.exit());
  };
  // A terminal's Ctrl-C reaches every process; the bench ends this one when its turn has come.
  process.on('SIGINT', () => undefined);
  process.on('disconnect', exit);
  process.on('SIGTERM', exit);
  process.on('message', ({ id, name, body }: Question) => {
    const handle = handlers[name];
    const asked = handle ? handle(body) : Promise.reject(new Error(`no question ${name}`));
    asked.then(
      (result) => tell({ id, ok: true, result }),
      (error: unknown) =>
        tell({ id, ok: false, message: error instanceof Error ? (error.stack ?? '') : String(error) }),
    );
  });
}

function tell(answer: Answer): void {
  process.send?.(answer);
}

/** A function that says how busy this event loop was since it was last asked, from 0 to 1. */
export function watchUtilisation(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const { utilization } = performance.eventLoopUtilization(last);
    last = performance.eventLoopUtilization();
    return utilization;
  };
}
