/** `pipe-main.js PORT SOCKET`: each connection to the port of this network goes on to the socket of another. */
import { connect, createServer } from 'node:net';

const [port, socket = ''] = process.argv.slice(2);

createServer((near) => {
  const far = connect(socket);
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.on('error', () => to.destroy());
    from.pipe(to);
  }
}).listen(Number(port), '127.0.0.1', () => console.log('listens'));
