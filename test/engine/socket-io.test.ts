import t from 'tap';
import { io } from 'socket.io-client';
import { startEngine } from '../helpers/engine.js';
import { freePort } from '../helpers/processes.js';

// A machine that does other work takes its time; nothing here waits for it.
t.setTimeout(300_000);

type Data = Record<string, unknown>;

t.test(
  'a client of Socket.IO approves a call, and a server that is killed and comes back loses it nothing',
  async (t) => {
    // A port by number: one that the system chose cannot be listened on again while the killed server's sockets linger.
    const listen = { port: await freePort(), socketIo: true };
    const engine = await startEngine({ config: { listen, sandbox: { driver: 'process' } }, startTimeoutMs: 240_000 });
    t.teardown(() => engine.stop());
    const socket = io(engine.url, { reconnectionDelay: 100, reconnectionDelayMax: 500 });
    t.teardown(() => socket.disconnect());
    const seqs: unknown[] = [];
    const readies: Data[] = [];
    const watchers = new Map<string, (data: Data) => void>();
    socket.onAny((name: string, data: Data, offset?: string) => {
      if (name === 'system:ready') readies.push(data);
      else if (offset !== undefined) seqs.push(data['seq']);
      if (name === 'tool:approval_required') socket.emit('tool:approval', { callId: data['callId'], approved: true });
      watchers.get(name)?.(data);
    });
    const next = (name: string): Promise<Data> => new Promise((resolve) => watchers.set(name, resolve));

    const [result, end] = [next('tool:output'), next('turn:end')];
    socket.emit('message', 'List all files in /workspace');
    t.match(await result, { ok: true, text: '[the workspace is empty]' });
    t.match(await end, { turn: 1, stopReason: 'end_turn' });

    const back = next('system:ready');
    await engine.restart({ signal: 'SIGKILL', samePort: true });
    t.match(await back, { resumed: true, session: readies[0]?.['session'] });
    const second = next('turn:end');
    t.match(await socket.timeout(60_000).emitWithAck('message', { id: 'm2', text: 'hello' }), { ok: true, turn: 2 });
    t.match(await second, { turn: 2, stopReason: 'end_turn' });
    t.strictSame(
      seqs,
      seqs.map((_, index) => index + 1),
      'each durable event once, in order, without a gap',
    );
  },
);
