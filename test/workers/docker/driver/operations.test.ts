import { setMaxListeners } from 'node:events';
import t from 'tap';
import { createLog } from '../../../../src/shared/log.js';
import { Operations } from '../../../../workers/docker/driver/operations.js';
import { deferred } from '../../../helpers/processes.js';

const log = createLog('test', 'silent');
const options = { operation: 'create', timeoutMs: 20_000 } as const;

function answer(statusCode: number, message = 'said so'): Error {
  return Object.assign(new Error(message), { statusCode });
}

/** A call that fails with these, one after the other, and then succeeds. */
function failing(...errors: Error[]) {
  const call = async ({ attempt }: { attempt: number }): Promise<number> => {
    const error = errors[attempt];
    if (error) throw error;
    return attempt;
  };
  return call;
}

t.test('a refused connection and a 500 are tried again, at most three times in all', async (t) => {
  const operations = new Operations(log);
  const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  t.equal(await operations.run(options, failing(refused, answer(500))), 2);
  const last = operations.run(options, failing(answer(500), answer(500), answer(503), answer(500)));
  await t.rejects(last, answer(503));
});

t.test('what Docker refuses is asked once, and does not count against Docker', async (t) => {
  const operations = new Operations(log);
  let calls = 0;
  for (let i = 0; i < 10; i++) {
    const error = i % 2 ? answer(404, 'No such image') : answer(500, 'OCI runtime create failed: not found');
    const call = async (): Promise<never> => {
      calls++;
      throw error;
    };
    await t.rejects(operations.run(options, call), error);
  }
  t.equal(calls, 10);
  t.equal(await operations.run(options, failing()), 0);
});

t.test('after five faults in a row calls are refused unasked, removals are not', async (t) => {
  const operations = new Operations(log);
  const bad = failing(answer(500), answer(500), answer(500));
  await Promise.allSettled([operations.run(options, bad), operations.run(options, bad)]);
  let asked = false;
  const call = async (): Promise<void> => {
    asked = true;
  };
  await t.rejects(operations.run(options, call));
  t.equal(asked, false);
  await operations.remove({ timeoutMs: 1_000 }, call);
  t.equal(asked, true);
});

t.test('a removal is done while twenty calls hang', async (t) => {
  const operations = new Operations(log);
  const controller = new AbortController();
  setMaxListeners(20, controller.signal);
  const hanging = Array.from({ length: 20 }, () =>
    operations.run({ ...options, signal: controller.signal }, () => deferred<never>().promise),
  );
  const settled = Promise.allSettled(hanging);
  await operations.remove({ timeoutMs: 1_000 }, async () => undefined);
  controller.abort(new Error('enough'));
  t.equal((await settled).filter(({ status }) => status === 'rejected').length, 20);
});

t.test('twenty retryable failures at once, of calls and of removals, all settle', async (t) => {
  const operations = new Operations(log);
  const bad = failing(answer(500), answer(500));
  const all = Array.from({ length: 20 }, (_, i) =>
    i % 2 ? operations.remove({ timeoutMs: 20_000 }, async (a) => void (await bad(a))) : operations.run(options, bad),
  );
  t.equal((await Promise.allSettled(all)).length, 20);
});

t.test('a removal that Docker has under way is asked for again', async (t) => {
  const operations = new Operations(log);
  let calls = 0;
  await operations.remove({ timeoutMs: 20_000 }, async () => {
    calls++;
    if (calls === 1) throw answer(409);
  });
  t.equal(calls, 2);
});
