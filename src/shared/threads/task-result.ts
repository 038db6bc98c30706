/** Results of Piscina tasks as data, since Piscina turns errors into bare objects without their code. Every thread. */
import { errorFromData, errorToData, type ErrorData } from '../errors.js';

export type TaskResult<T> = { ok: true; value: T } | { ok: false; error: ErrorData };

/** For the worker: resolves with data, never rejects. */
export async function toTaskResult<T>(run: () => Promise<T>): Promise<TaskResult<T>> {
  try {
    return { ok: true, value: await run() };
  } catch (error) {
    return { ok: false, error: errorToData(error) };
  }
}

/** For the caller: returns the value or throws the error with its code. */
export function fromTaskResult<T>(result: TaskResult<T>): T {
  if (result.ok) return result.value;
  throw errorFromData(result.error);
}
