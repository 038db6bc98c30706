import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { writeExport } from '../../../../src/cli/export/export-file.js';
import { mountSmallDisk } from '../../../helpers/small-disk.js';

async function* bytes(count: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < count; at += 65_536) yield Buffer.alloc(65_536, 7);
}

t.test(
  'an export into a folder that is not there, and one that a disk cannot take, are told in words and leave nothing',
  async (t) => {
    const dir = t.testdir();
    await t.rejects(writeExport(join(dir, 'none', 'x.tar'), bytes(1)), {
      code: 'ERR_CONFIG',
      message: /there is no folder .*none/,
    });
    t.notOk(existsSync(join(dir, 'none')));
    const disk = mountSmallDisk(256);
    t.teardown(() => disk.remove());
    const full = writeExport(join(disk.dir, 'x.tar'), bytes(4_000_000));
    await t.rejects(full, { code: 'ERR_UNAVAILABLE', message: /the disk of .*x\.tar is full/ });
    t.same(readdirSync(disk.dir), []);
  },
);
