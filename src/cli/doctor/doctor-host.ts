/** The doctor's checks of this machine: Node, native addons, open files, the port. Command line's process. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import type { Config } from '../../shared/config.js';
import { openFilesLimit, WANTED_FILES } from '../../shared/open-files.js';
import { holdersOf } from '../listeners.js';
import type { Finding } from './doctor.js';
import type { Subject } from './subject.js';

const run = promisify(execFile);
const CHILD_TIMEOUT_MS = 10_000;
const HEALTH_TIMEOUT_MS = 2_000;
const HOW_TO_GRANT =
  'run `sudo fairlead service install` again (where the Debian package is: `sudo fairlead service configure && sudo systemctl daemon-reload`), then `sudo systemctl restart fairlead`';

export function checkNode(): Finding {
  const manifest = JSON.parse(readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8')) as {
    engines: { node: string };
  };
  const needed = manifest.engines.node.replace(/^\D*/, '');
  const detail = `Node ${process.versions.node}, ${process.platform} ${process.arch}`;
  if (isAtLeast(process.versions.node, needed)) return { status: 'ok', detail };
  return { status: 'failed', detail, hint: `install Node ${needed} or newer` };
}

/** Each addon loads in a child process: one that does not fit this machine may crash its process. */
export const checkAddons = {
  uWebSockets: () =>
    checkAddon(
      'uWebSockets.js',
      `if (typeof addon.default.App !== 'function') throw new Error('no App in it');`,
      'its binaries are for glibc 2.27 and newer with Node 20, 2.38 and newer with Node 22 to 25: use such a Node, then run `npm ci`',
    ),
  lmdb: () =>
    checkAddon(
      'lmdb',
      `if (typeof addon.open !== 'function') throw new Error('no open in it');`,
      'run `npm ci` without --omit=optional: its binaries are optional packages; or use Redis',
    ),
  lz4: () =>
    checkAddon(
      'lz4',
      `const input = Buffer.from('fairlead '.repeat(100)), output = Buffer.alloc(addon.default.encodeBound(input.length));
       const size = addon.default.encodeBlock(input, output), back = Buffer.alloc(input.length);
       addon.default.decodeBlock(output.subarray(0, size), back);
       if (!back.equals(input)) throw new Error('what it decodes is not what it encoded');`,
      'it is built on install: needs python3, make and a C++ compiler, then `npm rebuild lz4`',
    ),
};

async function checkAddon(name: string, test: string, hint: string): Promise<Finding[]> {
  const code = `const addon = await import(process.argv[1]); ${test}`;
  try {
    const args = ['--input-type=module', '--eval', code, import.meta.resolve(name)];
    await run(process.execPath, args, { timeout: CHILD_TIMEOUT_MS, killSignal: 'SIGKILL' });
    return [{ status: 'ok', detail: 'loads' }];
  } catch (error) {
    return [{ status: 'failed', detail: `does not load: ${reason(error)}`, hint }];
  }
}

/** The line of a child's stderr that names the error. */
function reason(error: unknown): string {
  const { stderr = '', message } = error as Error & { stderr?: string };
  const line = stderr.split('\n').find((text) => /^\w*Error\b/.test(text));
  return line ?? message.split('\n')[0] ?? 'the child process failed';
}

/** The limit of the running server counts, then that of its unit, then this shell's. */
export async function checkFiles({ pid, openFiles }: { pid?: number; openFiles?: number } = {}): Promise<Finding[]> {
  const running = pid === undefined ? undefined : openFilesLimit(pid);
  const limit = running ?? openFiles ?? openFilesLimit() ?? Number.POSITIVE_INFINITY;
  const whose =
    running === undefined ? (openFiles === undefined ? 'of this shell' : 'of the unit') : 'of the running server';
  const detail = `limit ${limit} ${whose}, one a connection`;
  if (limit >= WANTED_FILES) return [{ status: 'ok', detail }];
  return [
    {
      status: 'warning',
      detail,
      hint: `for many users raise it to ${WANTED_FILES}: LimitNOFILE in the systemd unit, or /etc/security/limits.conf`,
    },
  ];
}

const HOW_TO_LISTEN: Partial<Record<string, string>> = {
  EADDRNOTAVAIL: 'set HOST to an address of this machine',
  EACCES: HOW_TO_GRANT,
};

/** What root may, the service's account may not: `lowPorts` says what its unit grants. */
export async function checkPort(
  config: Config,
  signal: AbortSignal,
  { lowPorts }: Pick<Subject, 'lowPorts'> = {},
): Promise<Finding[]> {
  const { host, port, tls } = config.listen;
  const code = await tryListen(host, port);
  const where = `${host}:${port}`;
  if (code === 'EADDRINUSE') {
    const holder = holdersOf(port);
    if (!(await answersHealth({ host, port, tls }, signal))) {
      const hint = 'end that program, or set PORT to a free one';
      return [{ status: 'failed', detail: `cannot listen on ${where} (${code}): ${holder} has it`, hint }];
    }
    const detail = `a server answers at ${where} already: ${holder}`;
    return [{ status: 'warning', detail, hint: 'fine when it is yours' }];
  }
  if (lowPorts === false && port > 0 && port < lowestFreePort()) {
    const detail = `the unit may not listen on ${where}: ports below ${lowestFreePort()} need CAP_NET_BIND_SERVICE`;
    return [{ status: 'failed', detail, hint: HOW_TO_GRANT }];
  }
  if (code === undefined) return [{ status: 'ok', detail: port === 0 ? 'any free one' : `${where} is free` }];
  const hint = HOW_TO_LISTEN[code] ?? 'set PORT to a free one';
  return [{ status: 'failed', detail: `cannot listen on ${where} (${code})`, hint }];
}

/** net.ipv4.ip_unprivileged_port_start, which holds for IPv6, too (ip(7)). */
function lowestFreePort(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'latin1'));
  } catch {
    return 1_024; // a kernel without it
  }
}

function tryListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port }, () => server.close(() => resolve(undefined)));
  });
}

async function answersHealth(
  { host, port, tls }: Pick<Config['listen'], 'host' | 'port' | 'tls'>,
  signal: AbortSignal,
): Promise<boolean> {
  const name = host === '0.0.0.0' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  // The certificate is for another name than this address, and nothing is told to whoever answers.
  const connect = { rejectUnauthorized: false };
  const dispatcher = new Agent({ connect });
  const options = { dispatcher, signal: AbortSignal.any([signal, AbortSignal.timeout(HEALTH_TIMEOUT_MS)]) };
  try {
    const { statusCode, body } = await request(`${tls ? 'https' : 'http'}://${name}:${port}/healthz`, options);
    await body.dump();
    return statusCode === 200;
  } catch {
    return false; // a listener that does not speak HTTP is not Fairlead: that is an answer, not an error
  } finally {
    await dispatcher.destroy(); // `close` waits for a listener that says nothing
  }
}

/** Compares dotted numbers and ignores a suffix such as `-rc1`. */
export function isAtLeast(version: string, needed: string): boolean {
  const have = numbers(version);
  for (const [index, want] of numbers(needed).entries()) {
    const got = have[index] ?? 0;
    if (got !== want) return got > want;
  }
  return true;
}

function numbers(version: string): number[] {
  return (/^\d+(\.\d+)*/.exec(version)?.[0] ?? '').split('.').map(Number);
}
