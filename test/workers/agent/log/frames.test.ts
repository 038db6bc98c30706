import t from 'tap';
import { durableFrame, loggedFrame, passingFrame } from '../../../../workers/agent/log/frames.js';

void t.test('a frame says its type and its turn, and where the event has none it says none', async (t) => {
  t.strictSame(durableFrame({ type: 'message:accepted', id: 'm', turn: 2, queued: 0 }, 7), {
    json: '{"type":"message:accepted","seq":7,"turn":2,"id":"m","queued":0}',
    seq: 7,
    type: 'message:accepted',
    turn: 2,
  });
  t.strictSame(durableFrame({ type: 'history:cleared' }, 8), {
    json: '{"type":"history:cleared","seq":8}',
    seq: 8,
    type: 'history:cleared',
  });
  t.match(passingFrame({ type: 'text:delta', turn: 3, block: 0, offset: 0, text: 'x' }), {
    seq: 0,
    type: 'text:delta',
    turn: 3,
  });
});

void t.test('what is read from the log is the frame that was written, whatever the event holds', async (t) => {
  const nested = { turn: 9, '"turn":': '"turn":5' };
  for (const frame of [
    durableFrame({ type: 'turn:start', turn: 12 }, 1),
    durableFrame({ type: 'history:cleared' }, 2),
    durableFrame({ type: 'message:accepted', id: '","turn":5', turn: 1, queued: 0 }, 3),
    durableFrame({ type: 'tool:start', callId: 'c', name: 'n', server: 's', args: nested }, 4),
  ]) {
    t.strictSame(loggedFrame({ seq: frame.seq, json: frame.json }), frame);
  }
});

void t.test('events that 0.1.0 logged, with their turn elsewhere, are read the same', async (t) => {
  const json = '{"type":"message:accepted","seq":1,"id":"m","turn":4,"queued":0}';
  t.strictSame(loggedFrame({ seq: 1, json }), { json, seq: 1, type: 'message:accepted', turn: 4 });
});

void t.test('no frame has half a surrogate pair, also where an earlier version logged one', async (t) => {
  const text = 'a\ud83d b';
  const made = durableFrame({ type: 'tool:start', callId: 'c', name: 'n', server: 's', args: { text } }, 4);
  t.match(made.json, String.raw`"a\ufffd b"`);
  t.match(passingFrame({ type: 'text:delta', turn: 3, block: 0, offset: 0, text }).json, String.raw`"a\ufffd b"`);
  const logged = JSON.stringify({ type: 'tool:start', seq: 4, callId: 'c', args: { text } });
  t.match(loggedFrame({ seq: 4, json: logged }).json, String.raw`"a\ufffd b"`);
});
