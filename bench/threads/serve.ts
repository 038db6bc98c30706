/** The child's side of a contract: answers the bench's questions over IPC, and ends with the bench. Runs in each child process. */
import type { Answer, Contract, Handlers, Question } from './messages.js';

/** `end` runs before the process ends, whatever ends it. */
export function serve<C extends Contract>(handlers: Handlers<C>, end?: () => Promise<void>): void {
  let ending: Promise<void> | undefined;
  const exit = (): void => {
    ending ??= Promise.resolve(end?.())
      .catch((error: unknown) => console.error(error))
      .finally(() => process.exit());
  };
  // Ignored, since a terminal's Ctrl-C reaches every process: the bench ends them in order.
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

/** Returns a function that tells how busy this event loop was since its last call, 0 to 1. */
export function watchUtilisation(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const { utilization } = performance.eventLoopUtilization(last);
    last = performance.eventLoopUtilization();
    return utilization;
  };
}
