import t from 'tap';
import { WIRES } from '../../../bench/alternatives/wire.js';

t.test('a Socket.IO client joins its namespace, answers pings, and hears events', async (t) => {
  const read = WIRES['socket.io'].reader();
  t.same(read('0{"sid":"a","pingInterval":25000}'), { type: 'answer', frame: '40' });
  t.equal(read('40{"sid":"b"}'), undefined);
  t.same(read('2'), { type: 'answer', frame: '3' });
  t.same(read('42["said",{"type":"ready"}]'), { type: 'ready' });
  t.same(read('42["said",{"type":"delta","text":"a"}]'), { type: 'delta' });
  t.same(read('42["said",{"type":"end","text":"a b"}]'), { type: 'end', text: 'a b' });
});

t.test('a turn of Fairlead ends with its last text, or with what went wrong', async (t) => {
  const read = WIRES.fairlead.reader();
  t.match(read('{"type":"session:ready","seq":0,"session":"s"}'), { type: 'ready', session: 's' });
  t.same(read('{"type":"text:delta","turn":1,"block":0,"offset":0,"text":"a"}'), { type: 'delta' });
  t.equal(read('{"type":"text","seq":3,"turn":1,"block":0,"text":"a b"}'), undefined);
  t.same(read('{"type":"turn:end","seq":4,"turn":1,"stopReason":"end_turn"}'), { type: 'end', text: 'a b' });
  t.match(read('{"type":"turn:end","seq":5,"turn":2,"stopReason":"error"}'), { error: 'the turn ended with error' });
  t.match(read('{"type":"error","code":"ERR_UNAVAILABLE","message":"later"}'), { error: 'ERR_UNAVAILABLE: later' });
});
