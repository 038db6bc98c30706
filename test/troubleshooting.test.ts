/** docs/troubleshooting.md against the code: whatever a user or an operator may be told has a line there. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { CHECK_NAMES } from '../src/cli/doctor/doctor.js';
import { ERROR_TABLE } from '../src/shared/errors.js';
import { CLOSE } from '../src/shared/protocol.js';

const page = await readFile(fileURLToPath(new URL('../../docs/troubleshooting.md', import.meta.url)), 'utf8');

/** The rows of the section with that heading. */
function rowsOf(heading: string): string[] {
  const section = page.split('\n## ').find((text) => text.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`no section ${heading}`);
  return section.split('\n').filter((line) => line.startsWith('|'));
}

t.test('each error code has a row that says what to do', (t) => {
  const rows = rowsOf('Error codes');
  for (const code of Object.keys(ERROR_TABLE)) {
    const cells = rows.find((row) => row.startsWith(`| \`${code}\``))?.split('|').length;
    t.equal(cells, 5, code);
  }
  for (const [code = ''] of page.matchAll(/\bERR_[A-Z_]+/g)) {
    if (code !== 'ERR_DLOPEN_FAILED') t.ok(code in ERROR_TABLE, `${code} is one of ours`);
  }
  t.end();
});

t.test('each close code has a row', (t) => {
  const rows = rowsOf('Close codes');
  for (const [name, code] of Object.entries(CLOSE)) {
    t.ok(
      rows.some((row) => row.startsWith(`| ${code} `)),
      `${code} ${name}`,
    );
  }
  t.end();
});

t.test('each check of the doctor has a row', (t) => {
  const rows = rowsOf('What doctor finds');
  for (const name of CHECK_NAMES) {
    t.ok(
      rows.some((row) => row.split('|')[1]?.includes(`\`${name}\``)),
      name,
    );
  }
  t.end();
});

t.test('the exit codes that the command line has are explained', (t) => {
  const rows = rowsOf('It does not start');
  for (const code of [0, 1, 2, 78])
    t.ok(
      rows.some((row) => row.startsWith(`| ${code} `)),
      String(code),
    );
  t.end();
});
