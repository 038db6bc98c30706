/** The client library against the real server: as a page uses it, as Node uses it, and that nothing is left of it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { WebSocket as StandardWebSocket } from 'undici';
import { Fairlead as PageFairlead } from '../../src/client/index.js';
import { Fairlead } from '../../src/client/node.js';
import type { Session } from '../../src/client/session.js';
import type { SessionEvent } from '../../src/client/session-event.js';
import { startEngine } from '../helpers/engine.js';

t.setTimeout(600_000); // a whole server, on a machine that may be busy

const engine = await startEngine({
  config: { auth: {}, sandbox: { driver: 'process' } },
  env: { DOCKER_HOST: '' },
  startTimeoutMs: 240_000,
});
t.teardown(() => engine.stop());
const token = await engine.token();

async function readToEnd(session: Session): Promise<SessionEvent[]> {
  const seen: SessionEvent[] = [];
  for await (const event of session) {
    seen.push(event);
    if (event.type === 'tool:approval_required') void session.approve(event.callId);
    if (event.type === 'turn:end') return seen;
  }
  return seen;
}

const durable = (events: SessionEvent[]): SessionEvent[] =>
  events.filter((event) => 'seq' in event && event.type !== 'session:ready');

for (const [name, fairlead] of [
  ['in Node', new Fairlead({ url: engine.url, token })],
  [
    'as in a page, whose WebSocket sends no header',
    new PageFairlead({ url: engine.wsUrl, token, WebSocket: StandardWebSocket }),
  ],
] as const) {
  t.test(`${name}: a turn with an approval, and the same events again for who comes later`, async (t) => {
    const session = fairlead.open();
    t.teardown(() => session.close());
    const accepted = session.send('list all files in /workspace');
    const seen = await readToEnd(session);
    t.match(await accepted, { turn: 1 });
    t.match(seen.at(-1), { stopReason: 'end_turn' });
    t.match(
      seen.find(({ type }) => type === 'tool:result'),
      { ok: true },
    );
    const later = fairlead.open({ session: session.id, after: 0 });
    t.teardown(() => later.close());
    const again = await readToEnd(later);
    t.same(durable(again), durable(seen));
  });
}

t.test('sessions are made, listed page by page, read and deleted, and errors have their code', async (t) => {
  const fairlead = new Fairlead({ url: engine.url, token });
  const made = [await fairlead.createSession(), await fairlead.createSession({ model: 'demo' })];
  const first = await fairlead.listSessions({ limit: 1 });
  t.equal(first.sessions[0]?.session, made[1]?.session, 'the newest first');
  const second = await fairlead.listSessions({ limit: 1, cursor: first.next ?? '' });
  t.equal(second.sessions[0]?.session, made[0]?.session);
  t.same((await fairlead.history(made[0]!.session)).transcript, []);
  t.equal(await fairlead.deleteSession(made[0]!.session), undefined);
  await t.rejects(fairlead.history(made[0]!.session), {
    name: 'ClientError',
    code: 'ERR_NO_SUCH_SESSION',
    status: 404,
  });
  const asked: boolean[] = [];
  const stranger = new Fairlead({
    url: engine.url,
    token: ({ refused }) => {
      asked.push(refused);
      return refused ? token : 'flt_wrong';
    },
  });
  t.ok((await stranger.listSessions()).sessions.length > 0, 'a refused token is asked for once more');
  t.same(asked, [false, true]);
  const gone = new Fairlead({ url: engine.url, token }).open({ session: made[0]!.session, after: 0 });
  await t.rejects(readToEnd(gone), { code: 'ERR_NO_SUCH_SESSION' });
});

t.test('a process that closes its session ends by itself, also in the middle of a turn', async (t) => {
  const library = fileURLToPath(new URL('../../src/client/node.js', import.meta.url));
  const script = `
    const { Fairlead } = await import(${JSON.stringify(library)});
    const session = new Fairlead({ url: process.env.URL, token: process.env.TOKEN }).open();
    await session.send('hello');
    await session.close();
    console.log('closed');`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
    env: { URL: engine.url, TOKEN: token },
    timeout: 120_000,
  });
  t.equal(stdout, 'closed\n');
});
