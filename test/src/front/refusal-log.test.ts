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
