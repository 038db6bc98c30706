import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import pino from 'pino';
import t from 'tap';
import { RefusalLog } from '../../../src/front/refusal-log.js';
import { FairleadError } from '../../../src/shared/errors.js';

t.test('a refusal is logged with who and where, and many of them are few lines', async (t) => {
  const lines: unknown[][] = [];
  const refusals = new RefusalLog({ warn: (...line: unknown[]) => void lines.push(line) });
  const error = new FairleadError('ERR_FORBIDDEN_ORIGIN', 'the Origin "https://evil.example" is not in listen.origins');
  for (let time = 0; time < 1_000; time++) refusals.note(error, { address: '10.0.0.1', path: `/${'x'.repeat(5_000)}` });
  t.match(lines[0], [
    { code: 'ERR_FORBIDDEN_ORIGIN', address: '10.0.0.1', path: /^\/x{99}$/ },
    /^refused: the Origin "https:\/\/evil\.example"/,
  ]);
  t.ok(lines.length <= 12, `${lines.length} lines`);
});

t.test('how many were held back is told also when no more come', async (t) => {
  const lines = new PassThrough();
  const refusals = new RefusalLog(pino(lines), { flushMs: 10 });
  const error = new FairleadError('ERR_UNAUTHORIZED', 'no or bad credentials');
  for (let time = 0; time < 10; time++) refusals.note(error, { address: '10.0.0.1', requestId: 'r' });
  t.match(lines.read()?.toString(), /"address":"10\.0\.0\.1","requestId":"r"/);
  const told = once(lines, 'data') as Promise<[Buffer]>;
  const keep = setInterval(() => undefined, 1_000); // its own timer keeps no process alive
  t.teardown(() => clearInterval(keep));
  refusals.note(error, { address: '10.0.0.1' });
  refusals.note(error, { address: '10.0.0.1' });
  const [line] = await told;
  t.match(JSON.parse(line.toString()), { unlogged: 2, msg: 'refused: 2 more, which have no line of their own' });
});
