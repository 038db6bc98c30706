/** What the front does over plain HTTP it does over TLS: the same tests, each in a process that trusts the certificate. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { makeCertificate } from '../../helpers/make-certificate.js';
import { stopChild, watchExit } from '../../helpers/processes.js';

t.setTimeout(600_000); // the tests have their own, and the machine may be busy

const folder = await mkdtemp(join(tmpdir(), 'fl-tls-'));
t.teardown(() => rm(folder, { recursive: true }));
const { cert } = await makeCertificate({ folder });

for (const name of [
  'http',
  'connection',
  'slow-reader',
  'strangers',
  'byte-budget',
  'history-streams',
  'routes/mcp-endpoint',
  'credential-front',
]) {
  t.test(`over TLS: ${name}`, async (t) => {
    const file = fileURLToPath(new URL(`${name}.test.js`, import.meta.url));
    const child = spawn(process.execPath, [file], {
      env: { ...process.env, FRONT_TLS_FOLDER: folder, NODE_EXTRA_CA_CERTS: cert },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = watchExit(child);
    t.teardown(() => stopChild(child, exited));
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
    const { code } = await exited;
    const failed = said.split('\n').filter((line) => /^\s*not ok/.test(line));
    t.equal(code, 0, failed.join('\n') || said.slice(-2_000));
    t.match(said, /^ok 1 - /m, 'its tests ran');
  });
}
