/** Results of Piscina tasks as data: Piscina passes errors on as bare objects, and their code would be lost. Every thread. */
import { errorFromData, errorToData, type ErrorData } from '../errors.js';

export type TaskResult<T> = { ok: true; value: T } | { ok: false; error: ErrorData };

/** In the worker: settles to data, never rejects. */
export async function toTaskResult<T>(run: () => Promise<T>): Promise<TaskResult<T>> {
  try {
    return { ok: true, value: await run() };
  } catch (error) {
    return { ok: false, error: errorToData(error) };
  }
}

/** In the caller: the value, or the error thrown again with its code. */
export function fromTaskResult<T>(result: TaskResult<T>): T {
  if (result.ok) return result.value;
  throw errorFromData(result.error);
}
