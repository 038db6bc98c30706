import { PassThrough } from 'node:stream';
import t from 'tap';
import { confirm, type Terminal } from '../../../../src/cli/admin/confirm.js';

function terminal(isTTY: boolean): Terminal & { input: PassThrough; output: PassThrough } {
  return { input: Object.assign(new PassThrough(), { isTTY }), output: Object.assign(new PassThrough(), { isTTY }) };
}

t.test('at a terminal only a yes goes on; the end of the input is none', async (t) => {
  for (const answer of ['y\n', 'YES\n', ' yes \n']) {
    const at = terminal(true);
    at.input.write(answer);
    await t.resolves(confirm('Delete it?', false, at), answer);
  }
  for (const answer of ['n\n', '\n', 'yep\n', 'no\n']) {
    const at = terminal(true);
    at.input.write(answer);
    await t.rejects(confirm('Delete it?', false, at), { code: 'ERR_CANCELLED' }, answer);
  }
  const ended = terminal(true);
  ended.input.end();
  await t.rejects(confirm('Delete it?', false, ended), { code: 'ERR_CANCELLED' });
});

t.test('off a terminal nothing is asked: --yes is needed, and is enough', async (t) => {
  await t.rejects(confirm('Delete it?', false, terminal(false)), { code: 'ERR_CONFIG', message: /--yes/ });
  await t.resolves(confirm('Delete it?', true, terminal(false)));
});
