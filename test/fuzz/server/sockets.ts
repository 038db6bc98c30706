/** Mutated frames over real sockets: every answer is an event, a bad frame costs an error, and the socket still answers a ping. */
import { connect, type TestClient } from '../../helpers/ws-client.js';
import { CLOSE } from '../../../src/shared/protocol.js';
import { randomFrom } from '../../chaos/random.js';
import { Corpus } from '../corpus.js';
import type { Target } from '../target.js';
import { samples } from '../values.js';
import type { FuzzWorld } from './world.js';

const FRAMES = 50;
const ANSWER_MS = 60_000;
/** Five bad frames in a row end a socket with 4400. 1006: a frame was too long. */
const EXPECTED: readonly number[] = [CLOSE.notThisProtocol, 1006, 1009, CLOSE.slowReader];

export function socketsTarget({ engine, tokens }: FuzzWorld, seed: number): Target {
  const draw = randomFrom(seed);
  const corpus = new Corpus(samples('frame', 300, seed), draw);
  let pings = 0;
  return {
    name: 'frames (sockets)',
    async batch() {
      const violations: string[] = [];
      const token = tokens[Math.floor(draw() * tokens.length)] ?? '';
      const client = await connect(engine.wsUrl, { token });
      await client.ready;
      let sent = 0;
      while (sent < FRAMES && client.socket.readyState === client.socket.OPEN) {
        const frame = corpus.next();
        sent++;
        client.sendRaw(draw() < 0.02 ? Buffer.from(frame) : frame);
        if (sent % 4 !== 0) continue;
        const wrong = await pong(client, `ping-${++pings}`);
        if (wrong) violations.push(`${wrong} after ${JSON.stringify(frame.slice(0, 300))}`);
      }
      if (client.socket.readyState === client.socket.OPEN) client.send({ type: 'turn:cancel' });
      await client.terminate();
      violations.push(...client.gaps());
      return { cases: sent, violations };
    },
  };
}

async function pong(client: TestClient, id: string): Promise<string | undefined> {
  client.send({ type: 'ping', id });
  const answered = client.waitFor((event) => event.type === 'pong' && event.id === id, { timeoutMs: ANSWER_MS });
  return Promise.race([
    answered.then(
      () => undefined,
      (error: unknown) => (client.socket.readyState === client.socket.OPEN ? String(error) : undefined),
    ),
    client.closed.then(({ code }) => (EXPECTED.includes(code) ? undefined : `the socket closed with ${code}`)),
  ]);
}
