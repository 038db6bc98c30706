import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeTokenFile, newToken, readTokenFile, tokenFile } from '../../../src/shared/token-file.js';

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'fl-token-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const mine = { owner: process.geteuid?.() };

t.test('a token is made for its owner alone, whatever the umask is, and read again', async (t) => {
  const dir = folder(t);
  t.equal(readTokenFile(dir, mine), undefined);
  const umask = process.umask(0);
  t.teardown(() => process.umask(umask));
  const token = makeTokenFile(dir);
  t.match(token, /^flt_[\w-]{43}$/);
  t.equal(statSync(tokenFile(dir)).mode & 0o777, 0o600);
  t.equal(readTokenFile(dir, mine), token);
  t.same(readdirSync(dir), ['token'], 'nothing unfinished is left');
});

t.test('the unfinished file of a start that was killed does not stand in the way', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'token.new'), 'flt_half', { mode: 0o644 });
  const token = makeTokenFile(dir);
  t.equal(readTokenFile(dir, mine), token);
  t.equal(statSync(tokenFile(dir)).mode & 0o777, 0o600);
});

t.test('a token that other accounts can read or write is refused, and left as it is', async (t) => {
  for (const mode of [0o640, 0o604, 0o620, 0o610]) {
    const dir = folder(t);
    const token = makeTokenFile(dir);
    chmodSync(tokenFile(dir), mode);
    t.throws(() => readTokenFile(dir, mine), { code: 'ERR_START', message: /other accounts.*remove it/ });
    t.equal(readFileSync(tokenFile(dir), 'utf8'), `${token}\n`);
    chmodSync(tokenFile(dir), 0o400);
    t.equal(readTokenFile(dir, mine), token);
  }
});

t.test('a token that belongs to another account is refused by the server, which that account would own', async (t) => {
  const dir = folder(t);
  const token = makeTokenFile(dir);
  const other = { owner: Number(mine.owner) + 1 };
  t.throws(() => readTokenFile(dir, other), { code: 'ERR_START', message: /belongs to the account/ });
  t.equal(readTokenFile(dir, { owner: undefined }), token);
});

t.test('half a token, nothing, a long file and a link are refused, never replaced', async (t) => {
  const whole = newToken();
  for (const text of [
    '',
    '\n',
    whole.slice(0, 20),
    `${whole}\n${whole}\n`,
    whole.replace('flt_', 'xyz_'),
    'x'.repeat(5_000),
  ]) {
    const dir = folder(t);
    writeFileSync(tokenFile(dir), text, { mode: 0o600 });
    t.throws(
      () => readTokenFile(dir, mine),
      { code: 'ERR_START', message: /damaged/ },
      JSON.stringify(text.slice(0, 60)),
    );
    t.equal(readFileSync(tokenFile(dir), 'utf8'), text);
  }
  const dir = folder(t);
  writeFileSync(join(dir, 'other'), `${whole}\n`, { mode: 0o600 });
  symlinkSync('other', tokenFile(dir));
  t.throws(() => readTokenFile(dir, mine), { code: 'ERR_START', message: /link/ });
});

t.test('an error never shows the token', async (t) => {
  const dir = folder(t);
  const token = newToken();
  writeFileSync(tokenFile(dir), `${token}!\n`, { mode: 0o600 });
  try {
    readTokenFile(dir, mine);
    t.fail('it was read');
  } catch (error) {
    t.notMatch(String(error), token.slice(4));
  }
});
