/** The Python client of examples/ through faulty networks to a real server: nothing lost, nothing repeated. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import type { DurableEvent } from '../../src/shared/protocol.js';
import { startEngine } from '../helpers/engine.js';
import { freePort } from '../helpers/processes.js';
import { findPython } from '../helpers/programs.js';
import { connect } from '../helpers/ws-client.js';
import { FaultyProxy, type FaultKind } from './faulty-proxy.js';

t.setTimeout(900_000); // a whole server, on a machine that may be busy

const FOLDER = fileURLToPath(new URL('../../../examples/python/', import.meta.url));
const run = promisify(execFile);

/** Says two things, denies what is asked, and prints every durable event as a line. */
const PROGRAM = `
import asyncio, json, os, sys
sys.path.insert(0, os.environ["FOLDER"])
from resuming_client import Session

async def main():
    session = Session(os.environ["FAIRLEAD_URL"], ping_seconds=2)
    for text in ("list all files in /workspace", "hello"):
        await session.send(text)
    ends, asked = 0, set()
    async for event in session.events():
        for call_id in list(session.pending):
            if call_id not in asked:
                asked.add(call_id)
                await session.answer(call_id, False, "not now")
        if event["type"] != "session:ready" and "seq" in event:
            print(json.dumps(event))
        ends += event["type"] == "turn:end"
        if ends == 2:
            print(session.session)
            return

asyncio.run(main())
`;

const engine = await startEngine({
  config: { listen: { port: await freePort() }, sandbox: { driver: 'process' } },
  env: { DOCKER_HOST: '' },
  startTimeoutMs: 240_000,
});
t.teardown(() => engine.stop());
const port = Number(new URL(engine.url).port);

const KINDS: FaultKind[] = ['cut', 'reset', 'half-close', 'delay', 'lose', 'stall', 'refuse', 'kill'];

for (const [index, kind] of KINDS.entries()) {
  t.test(`resuming_client.py comes back after a fault of the kind ${kind}, with each event once`, async (t) => {
    let restart: Promise<void> | undefined;
    const proxy = new FaultyProxy({
      host: `127.2.0.${index + 1}`,
      port,
      faults: [
        { kind, direction: 'down', at: 1_400, ms: 200 },
        { kind: 'cut', direction: 'up', at: 300, ms: 0 },
      ],
      kill: () => {
        restart ??= engine.restart({ signal: 'SIGKILL', samePort: true });
      },
    });
    await proxy.listen();
    t.teardown(() => proxy.close());
    const { stdout } = await run(findPython() ?? 'python3', ['-c', PROGRAM], {
      env: {
        ...process.env,
        FOLDER,
        FAIRLEAD_URL: `${proxy.url.replace('http', 'ws')}/v1/ws`,
        PYTHONDONTWRITEBYTECODE: '1', // nothing beside the sources
      },
      timeout: 400_000,
    });
    await restart;
    const lines = stdout.trim().split('\n');
    const session = lines.pop() ?? '';
    const client = await connect(engine.wsUrl, { session, after: 0 });
    t.teardown(() => client.close());
    const { seq } = await client.ready;
    await client.waitFor((event) => 'seq' in event && event.type !== 'session:ready' && event.seq === seq);
    const truth = client.events.filter(
      (event): event is DurableEvent & { seq: number } => 'seq' in event && event.type !== 'session:ready',
    );
    t.same(
      lines.map((line) => JSON.parse(line) as unknown),
      truth,
    );
    t.equal(truth.filter(({ type }) => type === 'message:accepted').length, 2);
    t.ok(proxy.fired.length > 0, 'the fault has happened');
  });
}
