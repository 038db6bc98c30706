/**
 * `npm run try:install [-- --release TARBALL]`: the commands of docs/install.md, as they stand there, on an empty Debian 12 with a systemd,
 * a Docker, a Redis and a Caddy of its own, up to a conversation through TLS; prints what each took. It fetches Debian's packages, some
 * hundred megabytes, so it is no test of CI. Needs root, debootstrap and a dockerd.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from '../../release/run.js';
import { startDockerd } from '../helpers/dockerd.js';
import { bootDebian } from './debian.js';
import { openOutside, PORT } from './outside.js';

/** The repository, seen from dist/test/try-install. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const RELEASE_MAIN = fileURLToPath(new URL('../../release/main.js', import.meta.url));
/** A name for which Caddy signs the certificate itself. */
const DOMAIN = 'ai.local';
const AUTHORITY = '/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt';

const log = (line: string): void => console.log(`# ${line}`);
const { values } = parseArgs({ options: { release: { type: 'string' } } });
const folder = await mkdtemp(join(tmpdir(), 'fl-try-'));
const ends: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
try {
  await main(values.release ?? (await makeRelease()));
} finally {
  for (const end of ends.toReversed()) await end();
}

async function makeRelease(): Promise<string> {
  log('making the release');
  await run(process.execPath, [RELEASE_MAIN, '--out', folder]);
  const [name] = (await readdir(folder)).filter((each) => each.endsWith('.tar.gz'));
  return join(folder, name ?? '');
}

async function main(release: string): Promise<void> {
  const version = /^fairlead-(.+)-linux-x64\.tar\.gz$/.exec(basename(release))?.[1];
  if (version === undefined) throw new Error(`${release} is not named as a release is`);
  const dockerd = await startDockerd();
  ends.push(() => dockerd.stop());
  log('an empty Debian 12');
  const debian = await bootDebian(dockerd.host, log);
  ends.push(() => debian.stop());
  const outside = await openOutside(folder, debian.pid, release);
  ends.push(() => outside.close());
  await debian.must(`echo '127.0.0.1 ${DOMAIN}' >> /etc/hosts`);
  await debian.must(`echo 'Acquire::http::Proxy "http://127.0.0.1:${PORT}";' > /etc/apt/apt.conf.d/outside`);
  await debian.must('apt-get update -q');

  let token = '';
  let total = 0;
  const commands = commandsIn(await readFile(join(ROOT, 'docs/install.md'), 'utf8'));
  for (const command of commands) {
    const filled = command
      .replaceAll('RELEASES', `http://127.0.0.1:${PORT}`)
      .replaceAll('VERSION', version)
      .replaceAll('ai.example.org', DOMAIN)
      .replaceAll('flt_…', token);
    // Caddy's own authority is known to nobody; and what is asked comes from somebody at the keyboard.
    const chat = filled.startsWith('fairlead chat');
    const shell = chat ? `echo 'write kept to notes.txt' | NODE_EXTRA_CA_CERTS=${AUTHORITY} ${filled} --yes` : filled;
    log(`$ ${filled.replace(token === '' ? 'flt_…' : token, 'flt_…')}`);
    const began = performance.now();
    const { code, output } = await debian.sh(`cd /root && export DEBIAN_FRONTEND=noninteractive; ${shell} 2>&1`);
    const seconds = (performance.now() - began) / 1_000;
    total += seconds;
    token ||= /^flt_\S+$/m.exec(output)?.[0] ?? '';
    if (code !== 0 || (chat && !/notes\.txt/.test(output))) throw new Error(`it ended with ${code}:\n${output}`);
    log(`${seconds.toFixed(0)} s`);
  }
  log(`${commands.length} commands, ${(total / 60).toFixed(1)} minutes`);
  log(`doctor:\n${(await debian.sh('fairlead doctor 2>&1')).output}`);
}

/** The first block of shell commands on the page. */
function commandsIn(page: string): string[] {
  const block = /```sh\n([^`]*)```/.exec(page)?.[1] ?? '';
  return block.split('\n').filter((line) => line !== '');
}
