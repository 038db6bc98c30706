import t from 'tap';
import { nameGlob } from '../../../src/shared/name-globs.js';
import { toToolDefinitions } from '../../../src/shared/tool-definition.js';

const tool = (name: string) => ({ name, inputSchema: { type: 'object' as const } });

void t.test(
  'a tool whose name no pattern can judge in time, or at all, is left out, and the others stay',
  async (t) => {
    const bad = ['', 'delete\nall', 'delete\u2028all', 'delete\0', '_'.repeat(129)];
    const good = ['delete', 'a/b.c-d', 'Größe messen', '_'.repeat(128)];
    const listed = toToolDefinitions([...bad, ...good].map(tool)).map(({ name }) => name);
    t.same(listed, good);
    for (const name of listed) t.ok(nameGlob('*')(name), name);
  },
);

void t.test('the longest name is compared with a pattern in no time', async (t) => {
  const matches = nameGlob('*_*_*x');
  const before = process.cpuUsage();
  t.notOk(matches('_'.repeat(128)));
  t.ok(process.cpuUsage(before).user < 1_000_000);
});
