import { copyFileSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import pino from 'pino';
import t, { type Test } from 'tap';
import type { HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { CertificateWatch } from '../../../src/boot/certificate-watch.js';
import { Listener } from '../../../src/boot/listener.js';
import { makeCertificate } from '../../helpers/make-certificate.js';
import { until } from '../../helpers/until.js';

const folder = mkdtempSync(join(tmpdir(), 'fl-watch-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const [first, second] = [
  await makeCertificate({ folder, name: 'first' }),
  await makeCertificate({ folder, name: 'second' }),
];

async function open(t: Test, { port, servername }: { port: number; servername?: string }): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...(servername && { servername }) });
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

async function nameAt(t: Test, port: number, servername?: string): Promise<string> {
  const socket = await open(t, { port, ...(servername && { servername }) });
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

async function ask(socket: TLSSocket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [data] = (await once(socket, 'data')) as [Buffer];
  return data.toString().split('\r\n').at(-1)!;
}

function attach(app: TemplatedApp): void {
  app.any('/*', (res: HttpResponse) => void res.end('hello'));
}

function lead(file: string, to: string): void {
  symlinkSync(to, `${file}.new`);
  renameSync(`${file}.new`, file);
}

/** A listener with the first certificate, behind names that can be made to lead elsewhere, as a renewal does it. */
async function world(t: Test, port = 0) {
  const dir = mkdtempSync(join(folder, 'live-'));
  const files = { cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') };
  symlinkSync(first.cert, files.cert);
  symlinkSync(first.key, files.key);
  const listener = new Listener({ host: '127.0.0.1', port, tls: files, attach });
  t.teardown(() => listener.close());
  await listener.listen();
  const logged: { level: number; msg: string; err?: string }[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const watch = new CertificateWatch({ files, names: () => [], renew: () => listener.renew(), log, pollMs: 20 });
  t.teardown(() => watch.close());
  return { files, listener, watch, logged };
}

t.test('a renewed certificate is taken by itself, by name and without, and open connections go on', async (t) => {
  const { files, listener, logged } = await world(t);
  const { port } = listener;
  t.equal(await nameAt(t, port), 'first');
  const kept = await open(t, { port });
  lead(files.cert, second.cert);
  lead(files.key, second.key);
  await until('it is taken', async () => logged.some(({ msg }) => /get the new certificate/.test(msg)), {
    timeoutMs: 20_000,
  });
  t.equal(await nameAt(t, port), 'second');
  t.equal(await nameAt(t, port, 'localhost'), 'second');
  t.equal(listener.port, port);
  t.equal(await ask(kept), 'hello', 'the old connection is served');
  t.equal(await ask(await open(t, { port })), 'hello');
});

t.test('one that cannot be used is told, and the one of before stays, until there is a good one', async (t) => {
  const { files, listener, watch, logged } = await world(t);
  lead(files.cert, second.cert); // its key does not come
  await until('it is told', async () => logged.some(({ msg }) => /of before stays/.test(msg)), { timeoutMs: 20_000 });
  t.match(
    logged.find(({ msg }) => /of before stays/.test(msg)),
    { level: 40, err: /is not that of the certificate/ },
  );
  t.equal(await nameAt(t, listener.port), 'first');
  rmSync(files.key);
  await watch.look(); // at once, as after a signal
  t.match(logged.at(-1), { err: /ENOENT/ });
  copyFileSync(second.key, files.key);
  await watch.look();
  t.equal(await nameAt(t, listener.port), 'second');
  writeFileSync(files.cert, 'half of it');
  await watch.look();
  t.equal(await nameAt(t, listener.port), 'second');
});

t.test('TLS 1.1 is refused, and plain HTTP is cut', async (t) => {
  const { listener } = await world(t);
  const old = connect({
    port: listener.port,
    host: '127.0.0.1',
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
    rejectUnauthorized: false,
  });
  t.teardown(() => old.destroy());
  const [error] = (await once(old, 'error')) as [NodeJS.ErrnoException];
  t.match(error.code, /PROTOCOL_VERSION/);
  await t.rejects(fetch(`http://127.0.0.1:${listener.port}/`));
});

t.test('a port that is in use is told, and one that was given is kept over a renewal', async (t) => {
  const { listener } = await world(t);
  const taken = new Listener({ host: '127.0.0.1', port: listener.port, attach: () => undefined });
  await t.rejects(taken.listen(), { code: 'ERR_START', message: /in use/ });
  taken.close();
  const { port } = listener;
  listener.close();
  const again = await world(t, port);
  const kept = await open(t, { port });
  await again.listener.renew();
  t.equal(await ask(kept), 'hello');
  t.equal(await nameAt(t, port), 'first');
});

t.test(
  'connections that are being opened while the certificate is renewed are served, later ones get it',
  async (t) => {
    const { files, listener, watch } = await world(t);
    watch.close(); // the test says when
    const { port } = listener;
    for (const name of ['third', 'fourth', 'fifth']) {
      const { cert, key } = await makeCertificate({ folder, name });
      lead(files.cert, cert);
      lead(files.key, key);
      const opening = Array.from({ length: 40 }, () => open(t, { port }));
      await new Promise<void>((resolve) => process.nextTick(resolve)); // the kernel has taken them, and nobody has accepted them
      await listener.renew();
      t.equal(await nameAt(t, port), name);
      for (const socket of await Promise.all(opening)) t.equal(await ask(socket), 'hello');
    }
  },
);

t.test('a port that another server has is not shared with it', async (t) => {
  const { files, listener } = await world(t);
  const other = new Listener({ host: '127.0.0.1', port: listener.port, tls: files, attach });
  t.teardown(() => other.close());
  await t.rejects(other.listen(), { code: 'ERR_START', message: /in use/ });
});
