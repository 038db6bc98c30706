import t from 'tap';
import { freeNow } from '../../../../src/shared/threads/free-now.js';

t.test('memory is given back at once, whatever the collector does', async (t) => {
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let count = 0; count < 500; count++) {
    const bytes = new Uint8Array(1_048_576).fill(1);
    freeNow(bytes);
    if (count === 0) t.equal(bytes.length, 0, 'nobody can use it any more');
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  t.ok(most < 32 * 1_048_576, `${most} bytes at most, of 500 MiB`);
});

t.test('a piece of the memory that small buffers share stays, and so does one that is free already', async (t) => {
  const small = Buffer.from('small');
  freeNow(small);
  t.equal(small.toString(), 'small');
  const bytes = new Uint8Array(100_000);
  freeNow(bytes);
  t.doesNotThrow(() => freeNow(bytes));
});
