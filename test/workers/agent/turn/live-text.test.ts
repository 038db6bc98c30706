import t from 'tap';
import { LiveText } from '../../../../workers/agent/turn/live-text.js';

void t.test('each delta says where its block stood, in UTF-16 units', async (t) => {
  const live = new LiveText();
  t.match(live.append('text', 1, 0, 'a🙂'), { type: 'text:delta', turn: 1, block: 0, offset: 0, text: 'a🙂' });
  t.match(live.append('thinking', 1, 1, 'hm'), { type: 'thinking:delta', block: 1, offset: 0 });
  t.match(live.append('text', 1, 0, 'b'), { block: 0, offset: 3, text: 'b' });
});

void t.test('a snapshot is each block whole at offset 0', async (t) => {
  const live = new LiveText();
  live.append('thinking', 1, 0, 'hm');
  live.append('text', 1, 1, 'ab');
  live.append('text', 1, 1, 'cd');
  t.same(live.snapshot(), [
    { type: 'thinking:delta', turn: 1, block: 0, offset: 0, text: 'hm' },
    { type: 'text:delta', turn: 1, block: 1, offset: 0, text: 'abcd' },
  ]);
  live.clear();
  t.same(live.snapshot(), []);
});

void t.test('a broken stream leaves its text, without thinking and blank blocks', async (t) => {
  const live = new LiveText();
  live.append('thinking', 1, 0, 'hm');
  live.append('text', 1, 1, 'abc');
  live.append('text', 1, 2, ' \n');
  t.same(live.partialText(), [{ block: 1, text: 'abc' }]);
});
