import { randomBytes } from 'node:crypto';
import t from 'tap';
import { threadOf } from '../../../../src/shared/threads/route.js';

/** FNV-1a as its definition has it, with big integers. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5n;
  for (const byte of Buffer.from(text, 'latin1')) hash = ((hash ^ BigInt(byte)) * 0x01000193n) % 2n ** 32n;
  return Number(hash);
}

void t.test('a session is always on the same thread: the hash is FNV-1a by its definition', async (t) => {
  for (const id of ['', 'session-1', 'session-2', 'probe:workspace', 'Zm9vYmFyYmF6cXV4MTIzNA']) {
    t.equal(threadOf(id, 7), fnv1a(id) % 7, id);
  }
});

void t.test('a single thread owns all sessions, and no session is out of range', async (t) => {
  for (let n = 0; n < 200; n++) {
    const id = randomBytes(16).toString('base64url');
    t.equal(threadOf(id, 1), 0);
    const thread = threadOf(id, 5);
    t.ok(Number.isInteger(thread) && thread >= 0 && thread < 5);
  }
});

void t.test('sessions are evenly spread', async (t) => {
  const counts = [0, 0, 0, 0, 0, 0, 0];
  for (let n = 0; n < 70_000; n++) counts[threadOf(randomBytes(16).toString('base64url'), 7)]!++;
  for (const count of counts) t.ok(Math.abs(count - 10_000) < 600, `${count} of 10,000`);
});
