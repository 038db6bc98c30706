import t from 'tap';
import { FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import { fromTaskResult, toTaskResult } from '../../../../src/shared/threads/task-result.js';

void t.test('a value comes through', async (t) => {
  t.same(fromTaskResult(structuredClone(await toTaskResult(async () => ({ a: 1 })))), { a: 1 });
  t.equal(fromTaskResult(structuredClone(await toTaskResult(async () => undefined))), undefined);
});

void t.test('an error comes through with its code, and never as a rejection of the task', async (t) => {
  const failed = await toTaskResult(async () => {
    throw new FairleadError('ERR_SANDBOX', 'no image', { retryAfterMs: 9 });
  });
  try {
    fromTaskResult(structuredClone(failed));
    t.fail('it throws');
  } catch (error) {
    t.ok(isFairleadError(error, 'ERR_SANDBOX'));
    t.match(error, { message: 'no image', retryAfterMs: 9 });
  }
  const sync = await toTaskResult((): Promise<never> => {
    throw new TypeError('at once');
  });
  t.match(sync, { ok: false, error: { code: 'ERR_INTERNAL', name: 'TypeError' } });
});
