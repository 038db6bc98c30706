/** The stand-in model as its own process, for benches and for trying things by hand: prints one JSON line with its URL. */
import { parseArgs } from 'node:util';
import { defaultReply } from './model-replies.js';
import { startModelServer } from './model-server.js';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'delay-ms': { type: 'string', default: '0' },
    'gap-ms': { type: 'string' },
    tokens: { type: 'string' },
    strict: { type: 'boolean', default: false },
  },
});

const tokens = values.tokens === undefined ? undefined : 'token '.repeat(Number(values.tokens)).trimEnd();
const pace = {
  delayMs: Number(values['delay-ms']),
  // A token a delta, as the real model streams.
  ...(tokens === undefined ? {} : { chunk: 'token '.length }),
  ...(values['gap-ms'] === undefined ? {} : { gapMs: Number(values['gap-ms']) }),
};

const server = await startModelServer({
  port: Number(values.port),
  keep: 0,
  script: ({ body }) => {
    const reply = defaultReply(body);
    const calls = Array.isArray(reply.blocks) && reply.blocks.some((block) => 'tool' in block);
    return tokens === undefined || calls ? { ...reply, ...pace } : { ...pace, blocks: [{ text: tokens }] };
  },
});

console.log(JSON.stringify({ msg: `listening on ${server.url}`, url: server.url, pid: process.pid }));

const stop = (): void => {
  for (const violation of server.violations) console.error(violation);
  if (values.strict && server.violations.length > 0) process.exitCode = 1;
  void server.close();
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
