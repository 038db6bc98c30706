import t from 'tap';
import { OF, startBench, type AgentBench } from '../../agent-bench.js';
import { callsTools, says } from '../../scripted-model.js';

const SETTINGS = { approvals: { default: 'allow' } };

async function call(bench: AgentBench, session: string): Promise<string> {
  bench.model.next(callsTools([{ id: `c-${bench.events.length}`, name: 'echo', input: { text: 'hi' } }]), says('done'));
  const before = bench.events.filter(({ type }) => type === 'turn:end').length;
  await bench.request('submit-message', { user: OF.user, session, content: [{ type: 'text', text: 'read' }] });
  await bench.until(
    () => bench.events.filter(({ type }) => type === 'turn:end').length > before,
    () => `no turn has ended; there were ${bench.types().join(' ')}`,
  );
  const result = bench.events.findLast((event) => event.type === 'tool:result');
  return JSON.stringify(result);
}

async function newSession(bench: AgentBench, session: string): Promise<void> {
  await bench.request('create-session', { user: OF.user, session });
}

t.test('a call that needs one sandbox too many is told so, and the server is not to blame', async (t) => {
  const bench = await startBench(t, { ...SETTINGS, quotas: { default: { maxSandboxes: 1 } } });
  await newSession(bench, 'two');
  t.match(await call(bench, OF.session), /"ok":true/);
  const refused = await call(bench, 'two');
  t.match(refused, /ERR_QUOTA: 1 sandboxes at once are this user’s limit.*quotas\.maxSandboxes/);
  const leased = bench.sandboxes.length;
  t.match(await call(bench, 'two'), /ERR_QUOTA/);
  t.equal(bench.sandboxes.length, leased, 'no sandbox is asked for after a refusal');
  t.match((await bench.request('mcp-status', { user: OF.user })).health, {});
  t.match(await call(bench, OF.session), /"ok":true/, 'the first session goes on');

  await bench.request('delete-session', { user: OF.user, session: OF.session });
  t.match(await call(bench, 'two'), /"ok":true/, 'its sandbox went with it');
  t.equal((await bench.store.counters.readCounts(OF.user)).sandboxes, 1);
});

t.test('a sandbox that could not be had does not count', async (t) => {
  const bench = await startBench(t, { ...SETTINGS, quotas: { default: { maxSandboxes: 1 } } });
  await newSession(bench, 'two');
  bench.onLease = () => Promise.reject(new Error('no sandbox today'));
  t.match(await call(bench, OF.session), /"ok":false/);
  bench.onLease = undefined;
  t.match(await call(bench, 'two'), /"ok":true/);
});

t.test('a user over the bytes of saved workspaces gets no new sandbox until some are gone', async (t) => {
  const bench = await startBench(t, { ...SETTINGS, quotas: { default: { maxWorkspaceBytes: 1_000 } } });
  await newSession(bench, 'two');
  await bench.request('note-saved', { session: OF.session, server: 'workspace', bytes: 2_000 });
  t.match(await call(bench, 'two'), /ERR_QUOTA: 1000 bytes of saved workspaces/);
  t.match(await call(bench, OF.session), /"ok":true/, 'files that are saved come back');
  await bench.request('note-saved', { session: OF.session, server: 'workspace', bytes: 10 });
  t.match(await call(bench, 'two'), /"ok":true/);
});

t.test('counters that cannot be read refuse a sandbox, unless the configuration opens it', async (t) => {
  for (const failOpen of [false, true]) {
    const bench = await startBench(t, { ...SETTINGS, quotas: { default: { maxSandboxes: 1 }, failOpen } });
    const { counters } = bench.store;
    counters.claimSandbox = () => Promise.reject(new Error('the counters are away'));
    t.match(await call(bench, OF.session), failOpen ? /"ok":true/ : /"ok":false/, `failOpen ${failOpen}`);
  }
});
