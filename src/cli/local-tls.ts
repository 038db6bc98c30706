/**
 * How a command on the server's own machine knows that server at an address of loopback, for which no certificate is made: by being the
 * certificate of this machine's configuration. Command line's process.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import type { Dispatcher } from 'undici';
import { loadConfig } from '../shared/config.js';
import { isOnThisMachine, parseEndpoint } from './endpoint.js';

/** Undefined: another machine, another port, plain HTTP, or a configuration that this account cannot read. Then the usual rules count. */
export async function localDispatcher(
  base: string,
  env: NodeJS.ProcessEnv = process.env,
  cwd = process.cwd(),
): Promise<Dispatcher | undefined> {
  const { protocol, port } = new URL(base);
  if (protocol !== 'https:' || !isOnThisMachine(parseEndpoint(base))) return undefined;
  const expected = fingerprintOf(Number(port || 443), env, cwd);
  if (expected === undefined) return undefined;
  const { Agent, buildConnector } = await import('undici');
  const connect = buildConnector({ rejectUnauthorized: false });
  return new Agent({
    connect: (options, callback) => {
      connect(options, (...result) => {
        const [error, socket] = result;
        if (error || (socket as TLSSocket).getPeerCertificate().fingerprint256 === expected) return callback(...result);
        socket.destroy();
        return callback(new Error('another certificate than that of listen.tls is shown there'), null);
      });
    },
  });
}

function fingerprintOf(port: number, env: NodeJS.ProcessEnv, cwd: string): string | undefined {
  try {
    const { listen } = loadConfig(env, cwd);
    if (!listen.tls || (listen.port !== port && listen.port !== 0)) return undefined;
    return new X509Certificate(readFileSync(listen.tls.cert)).fingerprint256;
  } catch {
    return undefined; // absent, another account's or in the middle of an edit: the name in the certificate decides
  }
}
