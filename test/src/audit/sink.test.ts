/** Sinks against real sockets: what is written arrives in order, after outages and restarts, and holds nobody. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttp, type Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import pino from 'pino';
import t, { type Test } from 'tap';
import { auditFolder } from '../../../src/audit/files.js';
import { httpTarget } from '../../../src/audit/http-target.js';
import { AuditForwarder, type SinkTarget } from '../../../src/audit/sink.js';
import { syslogTarget } from '../../../src/audit/syslog-target.js';
import { until } from '../../helpers/until.js';
import { auditKit, message, tempDir, type Kit } from './audit-kit.js';

const IN_TIME = { timeoutMs: 30_000 };

function forward(t: Test, kit: Kit, target: SinkTarget): AuditForwarder {
  const sink = new AuditForwarder({
    name: 'test',
    folder: auditFolder(kit.dataDir),
    cursor: join(kit.dataDir, 'sent'),
    newest: async () => 0,
    batch: 3,
    target,
    log: pino({ level: 'silent' }),
  });
  t.teardown(() => sink.close());
  sink.start();
  return sink;
}

async function listening(t: Test, server: Server | HttpServer, at: number | string = 0): Promise<number> {
  if (typeof at === 'number') server.listen(at, '127.0.0.1');
  else server.listen(at);
  await once(server, 'listening');
  t.teardown(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  return typeof at === 'number' ? (server.address() as AddressInfo).port : 0;
}

t.test('HTTP: entries come in batches and in order, again after failures, and go on after a restart', async (t) => {
  const kit = auditKit(t);
  const got: number[] = [];
  const heads: (string | undefined)[] = [];
  let status = 503;
  const server = createHttp(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
    heads.push(request.headers.authorization);
    if (status === 200)
      for (const line of body.split('\n').slice(0, -1)) got.push((JSON.parse(line) as { n: number }).n);
    response.writeHead(status).end();
  });
  const port = await listening(t, server);
  const target = (): SinkTarget => httpTarget({ url: `http://127.0.0.1:${port}/in`, authorization: 'Bearer x' });
  const first = forward(t, kit, target());
  const writer = kit.open({ onWritten: () => first.wake() });
  for (let n = 1; n <= 5; n++) writer.post(message(n));
  await until('it was tried', () => heads.length > 0, IN_TIME);
  t.ok(first.behindMs > 0);
  status = 200;
  await until('all have come', () => got.length === 5, IN_TIME);
  await until('and it is not behind', () => first.behindMs === 0, IN_TIME);
  await first.close();
  writer.post(message(6));
  await writer.close();
  forward(t, kit, target());
  await until('the next one has come', () => got.length === 6, IN_TIME);
  t.same(got, [1, 2, 3, 4, 5, 6]);
  t.same([...new Set(heads)], ['Bearer x']);
});

for (const kind of ['tcp', 'unix'] as const) {
  t.test(
    `syslog over ${kind}: framed messages with the lines as they are, and a new connection where one ends`,
    async (t) => {
      const kit = auditKit(t);
      let text = '';
      const sockets: Socket[] = [];
      const server = createServer((socket) => {
        sockets.push(socket);
        socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      });
      const path = join(tempDir(t), 'log.sock');
      const port = await listening(t, server, kind === 'tcp' ? 0 : path);
      const url = kind === 'tcp' ? `tcp://127.0.0.1:${port}` : `unix:${path}`;
      const sink = forward(t, kit, syslogTarget({ url, facility: 13 }));
      const writer = kit.open({ onWritten: () => sink.wake() });
      writer.post(message(1));
      await until('it has come', () => text.includes('"n":1'), IN_TIME);
      const [, length = '', rest = ''] = /^(\d+) ([^]*)$/.exec(text) ?? [];
      t.equal(Number(length), Buffer.byteLength(rest), 'its length stands before it');
      t.match(rest, /^<110>1 \S+Z \S+ fairlead \d+ message_accepted - \{"n":1,/);
      t.ok(rest.endsWith(kit.lines()[0]!), 'the line is as it stands in the file');
      sockets[0]!.destroy();
      await once(sockets[0]!, 'close');
      await until(
        'the next one comes over a new connection',
        async () => {
          writer.post(message(2));
          await writer.flush();
          return sockets.length === 2 && text.includes('message_accepted', rest.length);
        },
        IN_TIME,
      );
      for (const socket of sockets) socket.destroy();
    },
  );
}

t.test('syslog by UDP: one datagram an entry', async (t) => {
  const kit = auditKit(t);
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const come = once(socket, 'message');
  const sink = forward(t, kit, syslogTarget({ url: `udp://127.0.0.1:${socket.address().port}`, facility: 4 }));
  const writer = kit.open({ onWritten: () => sink.wake() });
  writer.post(message(1));
  t.match(String((await come)[0]), /^<38>1 .* fairlead \d+ message_accepted - \{"n":1,/);
});
