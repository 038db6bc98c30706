import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkDataFolder, checkDisk } from '../../../../src/cli/doctor/doctor-place.js';
import { parseConfig } from '../../../../src/shared/config.js';

const configOf = (FAIRLEAD_DATA: string) => parseConfig({}, { FAIRLEAD_DATA });

t.test('a data folder of another account is a cross with the command that mends it', async (t) => {
  const dataDir = join(t.testdir(), 'data');
  t.match(await checkDataFolder(configOf(dataDir), undefined), [{ status: 'ok', detail: /made at the first start/ }]);
  mkdirSync(dataDir, { mode: 0o700 });
  t.match(await checkDataFolder(configOf(dataDir), undefined), [{ status: 'ok', detail: /yours, and writable/ }]);
  const uid = (process.geteuid?.() ?? 0) + 12_345;
  t.match(await checkDataFolder(configOf(dataDir), { name: 'fairlead', uid }), [
    {
      status: 'failed',
      detail: /belongs to the account \d+, and not to fairlead/,
      hint: `chown -R fairlead ${dataDir}`,
    },
  ]);
});

t.test('a data folder that others may read is a warning, and a file in its place a cross', async (t) => {
  const folder = t.testdir({ file: '' });
  chmodSync(folder, 0o755);
  t.match(await checkDataFolder(configOf(folder), undefined), [{ status: 'warning', hint: /chmod 700/ }]);
  t.match(await checkDataFolder(configOf(join(folder, 'file')), undefined), [
    { status: 'failed', detail: /no folder/ },
  ]);
});

t.test('the room that is left is told, of the nearest folder that there is', async (t) => {
  const folder = t.testdir();
  t.match(await checkDisk(configOf(join(folder, 'not', 'yet'))), [{ detail: /^\d+ MiB free for the data folder/ }]);
  t.match(await checkDisk(configOf(folder), folder), [{}, { detail: /free for Docker/ }]);
});
