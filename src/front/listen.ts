/** Finds out why an address cannot be listened on, since uWebSockets gives no reason. Main thread. */
import { createServer } from 'node:net';
import { FairleadError } from '../shared/errors.js';

/** Tries to listen there with Node's own server: the error's code, or '' where that works. */
export function whyNotListen(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve('')));
  });
}

/** Resolves with ERR_START. */
export async function listenError(host: string, port: number): Promise<FairleadError> {
  const code = await whyNotListen(host, port);
  return new FairleadError('ERR_START', `cannot listen on ${host} port ${port}: ${wordsFor(code)}`);
}

function wordsFor(code: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return 'the port is in use (is another Fairlead running? choose another with PORT)';
    case 'EACCES':
      return 'the permission is missing (ports below 1024 need a privilege)';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the host name has no address';
    default:
      return code === '' ? 'the port was in use a moment ago; try again' : code;
  }
}
