import t from 'tap';
import { readContent } from '../../../src/shared/mcp-content.js';

const read = (data: string): unknown => readContent([{ type: 'image', mimeType: 'image/png', data }])[0];

t.test('bytes in every spelling of base64 are read, and what is none is told in words', async (t) => {
  t.match(read('_-8='), { type: 'image', data: '/+8=' });
  t.match(read('aGk'), { type: 'image', data: 'aGk=' });
  t.match(read('aGk=\n'), { type: 'image', data: 'aGk=' });
  t.match(read('data:image/gif;base64,aGk='), { type: 'image', data: 'aGk=' });
  t.match(read('no base64!'), { type: 'text' });
  // Looked at from each of its signs, it would take hours.
  t.match(read(`${'='.repeat(2_000_000)}A`), { type: 'text' });
  t.match(read(`${' '.repeat(2_000_000)}A`), { type: 'text' });
});
