import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import t from 'tap';
import { Link } from '../../../../src/cli/chat/link.js';
import { FairleadError } from '../../../../src/shared/errors.js';

t.test('where the token must not be sent nothing is connected to, at a reconnect neither', async (t) => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  let strange = false;
  const link = new Link({
    address: () => `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: 'flt_x',
    guard: () => {
      if (strange) throw new FairleadError('ERR_CONFIG', 'a stranger listens there');
    },
    giveUpMs: 60_000,
    backoff: () => 0,
  });
  t.teardown(() => link.close());
  link.ready(); // as after a session: a lost connection is tried again
  link.on('retry', () => (strange = true));
  const ended = once(link, 'end') as Promise<[FairleadError]>;
  link.connect();
  const [error] = await ended;
  t.match(error, { code: 'ERR_CONFIG', message: 'a stranger listens there' });
  t.equal(connections, 1);
});
