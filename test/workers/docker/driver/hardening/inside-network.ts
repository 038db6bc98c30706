/** Tries to reach anything outside. Runs in the sandbox by itself, with addresses and abstract sockets as JSON; prints what came of it. */
import { resolve4 } from 'node:dns/promises';
import { createSocket } from 'node:dgram';
import { connect, type NetConnectOpts } from 'node:net';
import { networkInterfaces } from 'node:os';

interface Targets {
  addresses: { host: string; tcp: number; udp: number }[];
  abstract: string[];
}

const PATIENCE_MS = 2_000;
const targets = JSON.parse(process.argv[2] ?? '') as Targets;

function reach(options: NetConnectOpts): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(options);
    const end = (answer: string): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end('works'));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.setTimeout(PATIENCE_MS, () => end('silence'));
  });
}

function send(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.send('out', port, host, (error) => {
      socket.close();
      resolve(error ? ((error as NodeJS.ErrnoException).code ?? error.message) : 'works');
    });
  });
}

const tried = targets.addresses.map(async ({ host, tcp, udp }) => [
  [`tcp ${host}`, await reach({ host, port: tcp })],
  [`udp ${host}`, await send(host, udp)],
]);
const abstract = targets.abstract.map(async (name) => [[`abstract ${name}`, await reach({ path: `\0${name}` })]]);
const name = resolve4('example.com').then(
  () => [['dns', 'works']],
  (error: NodeJS.ErrnoException) => [['dns', error.code ?? error.message]],
);
const answers = Object.fromEntries((await Promise.all([...tried, ...abstract, name])).flat()) as Record<string, string>;
console.log(JSON.stringify({ answers, interfaces: Object.keys(networkInterfaces()) }));
process.exit(0);
