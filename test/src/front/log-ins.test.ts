/** Who is let in is recorded once in a while, who is not at a bounded rate. */
import t, { type Test } from 'tap';
import { auditTo } from '../../../src/shared/audit.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { LogIns } from '../../../src/front/log-ins.js';
import { RefusalLog } from '../../../src/front/refusal-log.js';
import { personOf } from '../../helpers/people.js';

type Entry = { what: string; address: string; about: Record<string, unknown> };

function recorded(t: Test): Entry[] {
  const entries: Entry[] = [];
  const post = (entry: string): void => void entries.push(JSON.parse(entry) as Entry);
  auditTo({ arguments: 'digest', post, stored: async () => undefined });
  t.teardown(() => auditTo(undefined));
  return entries;
}

const bad = new FairleadError('ERR_UNAUTHORIZED', 'no or bad credentials');
const from = (address: string): { address: string; authorization: string } => ({ address, authorization: 'Bearer x' });

t.test('a credential is recorded once for each address that it comes from', async (t) => {
  const entries = recorded(t);
  const logIns = new LogIns();
  for (let request = 0; request < 100; request++) {
    logIns.letIn(personOf('ada', { credential: 'tok_1' }), '192.0.2.1');
    logIns.letIn(personOf('ada', { credential: 'tok_2' }), '192.0.2.1');
    logIns.letIn(personOf('ada', { credential: 'tok_2' }), '192.0.2.2');
  }
  t.match(entries, [
    { what: 'login', user: 'ada', credential: 'tok_1', address: '192.0.2.1' },
    { what: 'login', user: 'ada', credential: 'tok_2', address: '192.0.2.1' },
    { what: 'login', user: 'ada', credential: 'tok_2', address: '192.0.2.2' },
  ]);
  t.equal(entries.length, 3);
});

t.test('failures are recorded at a bounded rate, and the rest is counted', async (t) => {
  const entries = recorded(t);
  const logIns = new LogIns();
  for (let request = 0; request < 1_000; request++) logIns.refused(from('192.0.2.1'), bad);
  t.ok(entries.length >= 10 && entries.length < 20, `${entries.length} of a thousand`);
  logIns.refused(from('192.0.2.2'), bad);
  t.match(entries.at(-1), { what: 'login_failed', address: '192.0.2.2', about: { unrecorded: Number } });
  const before = entries.length;
  for (let address = 0; address < 10_000; address++) logIns.refused(from(`2001:db8:${address.toString(16)}::/64`), bad);
  t.ok(entries.length - before <= 200, `${entries.length - before} of ten thousand addresses`);
});

t.test('whoever offers no credential has not tried to log in', async (t) => {
  const entries = recorded(t);
  const logIns = new LogIns();
  logIns.refused({ address: '192.0.2.1', authorization: '' }, bad);
  logIns.refused({ address: '192.0.2.1', authorization: '', protocols: 'fairlead.v1' }, bad);
  t.same(entries, []);
  logIns.refused({ address: '192.0.2.1', authorization: '', protocols: 'fairlead.v1, bearer.flt_x' }, bad);
  t.equal(entries.length, 1);
});

t.test('a refused credential has a line in the log, with address and reason and never the credential', async (t) => {
  recorded(t);
  const lines: string[] = [];
  const warn = (...line: unknown[]): void => void lines.push(JSON.stringify(line));
  const logIns = new LogIns(new RefusalLog({ warn }));
  for (let request = 0; request < 1_000; request++) {
    logIns.refused({ ...from('192.0.2.1'), authorization: 'Bearer SECRET', path: '/v1/ws', requestId: 'r-1' }, bad);
  }
  t.match(JSON.parse(lines[0] ?? ''), [
    { code: 'ERR_UNAUTHORIZED', address: '192.0.2.1', path: '/v1/ws', requestId: 'r-1' },
    'refused: no or bad credentials',
  ]);
  t.ok(lines.length <= 12, `${lines.length} lines`);
  t.notMatch(lines.join(''), 'SECRET');
});
