/**
 * What does an attached idle session cost the server, and how long do the attaches take?
 * Usage: node dist/bench/idle-sessions.js [--sessions 5000] [--at-once 200]
 * Needs redis-server on the PATH; containers are not involved (no tool is called).
 */
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { startEngine } from '../test/helpers/engine.js';
import { startRedis } from '../test/helpers/redis.js';
import { machine, percentile } from './machine.js';

const { values } = parseArgs({
  options: { sessions: { type: 'string', default: '5000' }, 'at-once': { type: 'string', default: '200' } },
});
const WARM_UP = 50;
const total = Number(values.sessions);
const atOnce = Number(values['at-once']);

const redis = await startRedis();
const engine = await startEngine({
  env: { REDIS_URL: redis.url },
  config: {
    agents: { spare: false }, // loaded in the middle of it, it would be counted
    limits: { maxSocketsPerUser: total + WARM_UP },
    sandbox: { driver: 'process' },
    model: { provider: 'demo' },
  },
});
const sockets: WebSocket[] = [];

function attach(): Promise<number> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(engine.wsUrl);
    sockets.push(socket);
    socket.once('message', () => resolve(performance.now() - startedAt));
    socket.once('error', reject);
    socket.once('close', (code) => reject(new Error(`closed ${code}`)));
  });
}

try {
  // The first attaches pay for code that is compiled once; they are not what a session costs.
  await Promise.all(Array.from({ length: WARM_UP }, attach));
  const before = await engine.rssBytes();
  const times: number[] = [];
  const startedAt = performance.now();
  for (let done = 0; done < total; done += atOnce) {
    times.push(...(await Promise.all(Array.from({ length: Math.min(atOnce, total - done) }, attach))));
    if (process.stderr.isTTY) process.stderr.write(`\r${times.length} of ${total}`);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const after = await engine.rssBytes();
  console.log(machine());
  console.log(
    `${total} sessions attached, ${atOnce} at once, Redis, ${seconds.toFixed(2)} s (${Math.round(total / seconds)} a second)`,
  );
  console.log(`attach: p50 ${percentile(times, 50).toFixed(1)} ms, p99 ${percentile(times, 99).toFixed(1)} ms`);
  console.log(
    `RSS ${(before / 2 ** 20).toFixed(1)} → ${(after / 2 ** 20).toFixed(1)} MiB: ${((after - before) / total / 1024).toFixed(2)} KiB a session`,
  );
} finally {
  for (const socket of sockets) {
    socket.removeAllListeners('close');
    socket.terminate();
  }
  await engine.stop();
  await redis.stop();
}
