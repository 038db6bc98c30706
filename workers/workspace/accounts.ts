/**
 * Gives the users of this sandbox names: their numbers are known only now, and differ between sandboxes. /etc/passwd and
 * /etc/group of the image are links into this folder. Runs in the sandbox, in the server.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RUN_FOLDER } from './runner-wire.js';

/** The image's own accounts. */
const IMAGE_FOLDER = '/opt/fairlead/accounts';

export interface Accounts {
  server: number;
  runner: number;
}

/** Synchronous: commands must find their name. Throws when the image has no accounts. */
export function writeAccounts({ server, runner }: Accounts, from = IMAGE_FOLDER, to = RUN_FOLDER): void {
  const lines = (file: string): string[] =>
    readFileSync(join(from, file), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !/^fairlead(-server)?:/.test(line));
  const passwd = [
    ...lines('passwd'),
    `fairlead:x:${runner}:${runner}::/workspace:/bin/sh`,
    `fairlead-server:x:${server}:${server}::/:/bin/false`,
  ];
  const group = [...lines('group'), `fairlead:x:${runner}:`, `fairlead-server:x:${server}:`];
  writeFileSync(join(to, 'passwd'), `${passwd.join('\n')}\n`, { mode: 0o644 });
  writeFileSync(join(to, 'group'), `${group.join('\n')}\n`, { mode: 0o644 });
}
