import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { newestOfEach, readResults, writeResult } from '../../../bench/suite/result.js';
import { someResult } from '../some-result.js';

const at = (bench: string, day: number) => someResult({ bench, startedAt: `2026-11-0${day}T12:00:00.000Z` });

t.test('a result is a file named by bench and time, and comes back as it was', async (t) => {
  const folder = join(t.testdir(), 'not', 'there', 'yet');
  const path = await writeResult(someResult(), folder);
  t.equal(path, join(folder, 'http-2026-11-28T12-00-00.json'));
  t.strictSame(await readResults(folder), [someResult()]);
});

t.test('the oldest comes first, what is none of ours is left out, and no folder is no results', async (t) => {
  const folder = t.testdir({ 'other.json': '{"format":2}', 'notes.txt': 'none' });
  for (const day of ['28', '02', '17'])
    await writeResult(someResult({ startedAt: `2026-11-${day}T12:00:00.000Z` }), folder);
  t.same(
    (await readResults(folder)).map(({ startedAt }) => startedAt.slice(8, 10)),
    ['02', '17', '28'],
  );
  t.strictSame(await readResults(join(folder, 'missing')), []);
  await writeFile(join(folder, 'cut.json'), '{"format":1,');
  await t.rejects(readResults(folder), { message: /cut.json is cut or broken/ }, 'half a file is told, not left out');
});

t.test('of each bench the newest counts', async (t) => {
  const newest = newestOfEach([at('pool', 1), at('http', 2), at('pool', 3)]);
  t.same(
    newest.map(({ bench, startedAt }) => `${bench} ${startedAt.slice(9, 10)}`),
    ['pool 3', 'http 2'],
  );
});
