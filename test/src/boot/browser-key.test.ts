import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openBrowserKeys } from '../../../src/boot/browser-key.js';

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'fl-key-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return dir;
}

t.test('the first start makes a key that only its account reads, and the next start takes it', async (t) => {
  const dataDir = folder(t);
  const [key] = openBrowserKeys({ dataDir, secretKeys: [] });
  t.match(key, /^[0-9a-f]{64}$/);
  t.equal(statSync(join(dataDir, 'browser-key')).mode & 0o777, 0o600);
  t.same(openBrowserKeys({ dataDir, secretKeys: [] }), [key]);
  t.notSame(openBrowserKeys({ dataDir: folder(t), secretKeys: [] }), [key]);
});

t.test('keys of the environment are taken as they are, and make no file', async (t) => {
  const dataDir = folder(t);
  const secretKeys = ['ab'.repeat(32), 'cd'.repeat(32)];
  t.same(openBrowserKeys({ dataDir, secretKeys }), secretKeys);
  t.throws(() => readFileSync(join(dataDir, 'browser-key')), { code: 'ENOENT' });
});

t.test('a key that others may know, or that is none, ends the start and is not replaced', async (t) => {
  const dataDir = folder(t);
  const file = join(dataDir, 'browser-key');
  const [key] = openBrowserKeys({ dataDir, secretKeys: [] });
  chmodSync(file, 0o640);
  t.throws(() => openBrowserKeys({ dataDir, secretKeys: [] }), { code: 'ERR_START', message: /mode 0640/ });
  chmodSync(file, 0o600);
  writeFileSync(file, key.slice(1));
  t.throws(() => openBrowserKeys({ dataDir, secretKeys: [] }), { code: 'ERR_START', message: /64 hex digits/ });
  t.equal(readFileSync(file, 'utf8'), key.slice(1));
});
