/** Sends entries of the audit log as RFC 5424 messages: over TCP and unix sockets with their length before them (RFC 6587), or by UDP. Main thread. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import type { FollowedEntry } from './follower.js';
import type { SinkTarget } from './sink.js';

const CONNECT_MS = 5_000;
const INFO = 6;
const WARNING = 4;

export function syslogMessage({ entry, text }: FollowedEntry, facility: number, host = hostname()): string {
  const priority = facility * 8 + (entry.outcome === 'ok' ? INFO : WARNING);
  const name = host.replaceAll(/[^\x21-\x7e]/g, '').slice(0, 255) || '-';
  const id = entry.what.replaceAll(/[^\x21-\x7e]/g, '').slice(0, 32) || '-';
  return `<${priority}>1 ${entry.at} ${name} fairlead ${process.pid} ${id} - ${text}`;
}

export function syslogTarget({ url, facility }: { url: string; facility: number }): SinkTarget {
  return url.startsWith('udp:') ? udpTarget(new URL(url), facility) : streamTarget(url, facility);
}

/** UDP confirms nothing: what is lost on the way is not sent again. */
function udpTarget({ hostname: host, port }: URL, facility: number): SinkTarget {
  const address = host.replaceAll(/[[\]]/g, '');
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('error', () => undefined); // each send has its own outcome
  socket.unref();
  return {
    async send(entries) {
      for (const entry of entries) {
        await new Promise<void>((resolve, reject) => {
          const done = (error: Error | null): void => (error ? reject(error) : resolve());
          socket.send(syslogMessage(entry, facility), Number(port), address, done);
        });
      }
    },
    close: () => socket.close(),
  };
}

function streamTarget(url: string, facility: number): SinkTarget {
  let open: Socket | undefined;
  const connected = async (signal: AbortSignal): Promise<Socket> => {
    if (open?.writable) return open;
    const socket = url.startsWith('unix:') ? connect(url.slice('unix:'.length)) : connectTcp(new URL(url));
    socket.on('error', () => socket.destroy());
    socket.on('data', () => undefined); // so that its end is noticed
    await once(socket, 'connect', { signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_MS)]) });
    socket.unref();
    return (open = socket);
  };
  return {
    async send(entries, signal) {
      const socket = await connected(signal);
      const messages = entries.map((entry) => syslogMessage(entry, facility));
      const framed = messages.map((message) => `${Buffer.byteLength(message)} ${message}`).join('');
      await new Promise<void>((resolve, reject) => {
        socket.write(framed, (error) => (error ? reject(error) : resolve()));
      });
    },
    close: () => void open?.destroy(),
  };
}

function connectTcp({ hostname: host, port }: URL): Socket {
  return connect(Number(port), host.replaceAll(/[[\]]/g, ''));
}
