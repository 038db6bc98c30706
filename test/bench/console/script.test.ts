import t from 'tap';
import { addTurn, OUTPUTS, printOutput, streamAnswer } from '../../../bench/console/script.js';
import { EMPTY, fold } from '../../../console/src/model/fold.js';
import { Session } from '../../helpers/protocol-server.js';

const { signal } = new AbortController();

t.test('each turn is a message and its answer for the console', async (t) => {
  const session = new Session();
  for (let turn = 0; turn < 4; turn++) addTurn(session);
  await streamAnswer(session, { perSecond: 2_000, ms: 20, last: 'The last words.', signal });
  await printOutput(session, OUTPUTS['cursor movements, 2 MB'].slice(0, 10), 'Ran it.', signal);
  const { items, turn, line } = fold(EMPTY, session.log);
  const kinds = items.map(({ kind }) => kind);
  t.equal(kinds.filter((kind) => kind === 'user').length, 6);
  t.equal(kinds.filter((kind) => kind === 'text').length, 6);
  t.equal(kinds.filter((kind) => kind === 'tool').length, 2);
  t.equal(turn, undefined, 'all are over');
  t.same(line, []);
  t.match(items, [
    { kind: 'user', text: /^Question 1/ },
    { kind: 'text', text: /^Answer 1\./ },
  ]);
});
