import t from 'tap';
import { contentBytes, decodeBlock, encodeBlock } from '../../../../workers/agent/store/history-codec.js';
import { SEAL_BYTES, sealTail, wantsSeal } from '../../../../workers/agent/store/history-tail.js';
import type { TranscriptMessage } from '../../../../workers/agent/store/store.js';

const message = (bytes: number): TranscriptMessage => ({
  role: 'user',
  content: [{ type: 'text', text: 'x'.repeat(bytes) }],
});

t.test('a tail is sealed from 32 KiB on', async (t) => {
  t.notOk(wantsSeal(SEAL_BYTES - 1));
  t.ok(wantsSeal(SEAL_BYTES));
});

t.test('a group of blocks that is sealed never has more than twice that', async (t) => {
  const messages = [message(30_000), message(40_000), message(1_000)];
  const { blocks, tail } = sealTail(messages.map((each) => encodeBlock([each])));
  t.same(blocks.flatMap(decodeBlock), messages);
  t.ok(blocks.every((block) => contentBytes(block) <= 2 * SEAL_BYTES));
  t.equal(blocks.length, 3);
  t.equal(tail.blocks, 1, 'the last is too short and waits for more');
});
