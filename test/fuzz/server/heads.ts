/** Mutated request heads, bodies and WebSocket bytes over raw TCP: each connection is answered or closed, and nothing is a 500. */
import { connect as connectTcp } from 'node:net';
import { randomFrom } from '../../chaos/random.js';
import { Corpus } from '../corpus.js';
import type { Target } from '../target.js';
import type { FuzzWorld } from './world.js';

const AT_ONCE = 20;
/** A server waits for the rest of a request; the fuzzer ends its side, so that it waits no longer. */
const END_MS = 60_000;
const MASKED_PING = '\x81\x8f\0\0\0\0{"type":"ping"}';

export function headsTarget({ engine, tokens }: FuzzWorld, seed: number): Target {
  const { hostname, port } = new URL(engine.url);
  const draw = randomFrom(seed);
  const corpus = new Corpus(seeds(`${hostname}:${port}`, tokens[0] ?? ''), draw);
  return {
    name: 'HTTP heads',
    async batch() {
      const inputs = Array.from({ length: AT_ONCE }, () => corpus.next());
      const results = await Promise.all(inputs.map((input) => exchange(hostname, Number(port), input)));
      const violations = results.flatMap((wrong, index) =>
        wrong === undefined ? [] : [`${wrong}: ${JSON.stringify(inputs[index]?.slice(0, 500))}`],
      );
      return { cases: AT_ONCE, violations };
    },
  };
}

function seeds(host: string, token: string): string[] {
  const auth = `Host: ${host}\r\nAuthorization: Bearer ${token}\r\n`;
  const json = 'Content-Type: application/json\r\n';
  const upgrade = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n`;
  const initialize = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}';
  return [
    `GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET /v1/sessions?limit=3&before=x HTTP/1.1\r\n${auth}\r\n`,
    `GET /v1/sessions/abc/history HTTP/1.1\r\n${auth}\r\n`,
    `GET /v1/sessions/abc/events?after=1 HTTP/1.1\r\n${auth}Accept: text/event-stream\r\n\r\n`,
    `POST /v1/sessions HTTP/1.1\r\n${auth}${json}Content-Length: 2\r\n\r\n{}`,
    `POST /v1/sessions HTTP/1.1\r\n${auth}${json}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    `POST /mcp HTTP/1.1\r\n${auth}${json}Accept: application/json, text/event-stream\r\nContent-Length: ${initialize.length}\r\n\r\n${initialize}`,
    `DELETE /v1/sessions/abc HTTP/1.1\r\n${auth}Origin: https://example.com\r\n\r\n`,
    `OPTIONS /mcp HTTP/1.1\r\nHost: ${host}\r\nOrigin: null\r\nAccess-Control-Request-Method: POST\r\n\r\n`,
    `GET /v1/ws?session=abc&after=0 HTTP/1.1\r\n${auth}${upgrade}Sec-WebSocket-Protocol: fairlead.v1\r\n\r\n${MASKED_PING}`,
    `GET /v1/ws HTTP/1.1\r\n${auth}${upgrade}\r\n${MASKED_PING.repeat(3)}\x88\x80\0\0\0\0`,
  ];
}

function exchange(host: string, port: number, input: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, host);
    let answer = '';
    const timer = setTimeout(() => finish('the connection stayed open'), END_MS);
    const finish = (wrong?: string): void => {
      clearTimeout(timer);
      socket.destroy();
      const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1];
      resolve(wrong ?? (status === '500' ? `the answer is ${answer.slice(0, 300)}` : undefined));
    };
    socket.setEncoding('latin1');
    // Streams and sockets stay open, so the first bytes of an answer are enough.
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.includes('\r\n')) finish();
    });
    socket.on('close', () => finish());
    socket.on('error', () => finish()); // a reset is a way to refuse
    socket.end(Buffer.from(input, 'latin1'));
  });
}
