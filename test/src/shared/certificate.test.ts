import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readCertificate } from '../../../src/shared/certificate.js';
import { makeCertificate } from '../../helpers/make-certificate.js';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'fl-cert-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const good = await makeCertificate({ folder, names: ['DNS:ai.example.org', 'IP:127.0.0.1'] });
const other = await makeCertificate({ folder, name: 'other' });
chmodSync(good.key, 0o600);
const NAMES = ['ai.example.org', '127.0.0.1'];

t.test('a certificate with its key can be used, and nothing is said of it', async (t) => {
  const found = readCertificate(good, NAMES);
  t.match(found, { names: /DNS:ai\.example\.org/, warnings: [] });
  t.ok(found.endsAt.getTime() > Date.now() + 29 * DAY_MS);
  t.not(readCertificate(other, []).fingerprint, found.fingerprint);
});

t.test('what cannot be used is refused in words', async (t) => {
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const locked = join(folder, 'locked.pem');
  execFileSync('openssl', ['pkey', '-in', good.key, '-aes256', '-passout', 'pass:x', '-out', locked]);
  const wrong: [string, { cert?: string; key?: string }, RegExp][] = [
    ['a key of another', { key: other.key }, /the key in .*other-key\.pem is not that of the certificate/],
    ['no file', { cert: '/nowhere/x.pem' }, /the certificate cannot be read: \/nowhere\/x\.pem \(ENOENT\)/],
    ['a folder', { key: folder }, /its key cannot be read: .* \(EISDIR\)/],
    ['no certificate', { cert: file('text', 'hello') }, /text is no certificate in PEM/],
    ['a key for a certificate', { cert: good.key }, /is no certificate in PEM/],
    ['no key', { key: good.cert }, /is no private key in PEM/],
    ['an empty file', { cert: file('empty', '') }, /empty is no certificate in PEM/],
    ['a key with a passphrase', { key: locked }, /has a passphrase/],
  ];
  for (const [what, files, message] of wrong) {
    t.throws(() => readCertificate({ ...good, ...files }, NAMES), { code: 'ERR_START', message }, what);
  }
});

t.test('one that has expired, or does not count yet, is refused', async (t) => {
  const later = Date.now() + 31 * DAY_MS;
  t.throws(() => readCertificate(good, NAMES, later), { code: 'ERR_START', message: /has expired on \d{4}-\d\d-\d\d/ });
  const before = Date.now() - DAY_MS;
  t.throws(() => readCertificate(good, NAMES, before), { code: 'ERR_START', message: /counts from .*clock/ });
});

t.test('another name, an end that is near and a key that all can read are warnings', async (t) => {
  t.match(readCertificate(good, ['chat.example.org']).warnings, [/is not for chat\.example\.org/]);
  t.match(readCertificate(good, NAMES, Date.now() + 20 * DAY_MS).warnings, [/expires on .*nothing has renewed it/]);
  chmodSync(good.key, 0o644);
  t.match(readCertificate(good, NAMES).warnings, [/every account of this machine can read the key in .*: chmod o-r/]);
  chmodSync(good.key, 0o640);
  t.same(readCertificate(good, NAMES).warnings, [], 'a group may');
});
