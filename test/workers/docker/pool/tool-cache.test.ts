import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import t from 'tap';
import { ToolCache } from '../../../../workers/docker/pool/tool-cache.js';

const log = pino({ level: 'silent' });
const use = { imageId: 'sha256:1234', env: { A: '1', B: '2' }, capabilities: { roots: {} } };
const known = {
  tools: [{ name: 'echo', description: 'Says it again', inputSchema: { type: 'object' }, readOnly: true }],
  resources: true,
  prompts: false,
  modern: true,
};

void t.test('what is written is read again, by image, environment and what the server was told', async (t) => {
  const folder = t.testdir();
  const cache = new ToolCache(join(folder, 'tools'), log);
  t.equal(await cache.read(use), undefined);
  await cache.write(use, known);
  t.same(await new ToolCache(join(folder, 'tools'), log).read(use), known);
  t.same(await cache.read({ ...use, env: { B: '2', A: '1' } }), known, 'whatever the order');
  t.equal(await cache.read({ ...use, imageId: 'sha256:5678' }), undefined);
  t.equal(await cache.read({ ...use, env: {} }), undefined);
  t.equal(await cache.read({ ...use, capabilities: {} }), undefined);
});

void t.test('a file that is torn, empty, another’s or of another version is as if it were not there', async (t) => {
  const folder = t.testdir();
  const cache = new ToolCache(folder, log);
  await cache.write(use, known);
  const [name = ''] = readdirSync(folder);
  const text = readFileSync(join(folder, name), 'utf8');
  const change = (from: string, to: string): string => text.replace(from, to);
  const bad = [
    '',
    text.slice(0, 40),
    'null',
    change('"format":1', '"format":2'),
    change('sha256:1234', 'sha256:9'),
    change('"name":"echo"', '"name":7'),
    change('"version":"', '"version":"x'),
  ];
  for (const each of bad) {
    writeFileSync(join(folder, name), each);
    t.equal(await cache.read(use), undefined, each.slice(0, 60));
  }
  await cache.write(use, known);
  t.same(await cache.read(use), known);
});

void t.test('what comes up at the same time writes at the same time', async (t) => {
  const folder = t.testdir();
  const warnings: string[] = [];
  const told = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(line) });
  const cache = new ToolCache(folder, told);
  await Promise.all(Array.from({ length: 8 }, () => cache.write(use, known)));
  t.same(warnings, []);
  t.same(await cache.read(use), known);
  t.equal(readdirSync(folder).length, 1);
});

void t.test('an image that is known by its name alone is not written down', async (t) => {
  const folder = t.testdir();
  const cache = new ToolCache(folder, log);
  await cache.write({ ...use, imageId: 'fairlead/workspace' }, known);
  t.same(readdirSync(folder), []);
});

void t.test('a folder that cannot be used costs a question, no more', async (t) => {
  const folder = t.testdir({ file: '' });
  const cache = new ToolCache(join(folder, 'file', 'tools'), log);
  await cache.write(use, known);
  t.equal(await cache.read(use), undefined);
});

void t.test('files of images that were replaced long ago go', async (t) => {
  const folder = t.testdir();
  const cache = new ToolCache(folder, log);
  for (let index = 0; index < 105; index++) await cache.write({ ...use, imageId: `sha256:${index}` }, known);
  t.equal(readdirSync(folder).length, 100);
  t.same(await cache.read({ ...use, imageId: 'sha256:104' }), known);
});
