/**
 * Everything that can go away goes away, at random and several at a time; then exactly those containers, processes, open files
 * and archives are there that the store and the server say. `CHAOS_SEED=N` draws the same events again.
 */
import { randomInt } from 'node:crypto';
import t from 'tap';
import type { Person } from '../chaos/sandbox/person.js';
import { openFiles } from '../chaos/open-files.js';
import { planChaos } from '../chaos/sandbox/plan.js';
import { archivesOf, differences, look, runningOf, sessionOfArchive, storeOf } from '../chaos/sandbox/residue.js';
import { ChaosRun } from '../chaos/sandbox/run.js';
import { until } from '../helpers/until.js';
import { World } from '../chaos/sandbox/world.js';

/** About 100 s on two idle cores. */
const TIMEOUT_MS = 300_000;
const SETTLE_MS = 30_000;
const HOLDERS = 4;
const ERROR = 50;
/** The last is said of a sandbox that was ended from outside while it waited for its session to come back. */
const EXPECTED = /^docker thread: (error|died)|^a workspace could not be saved/;
/** Longer than Node, and the model's client, keep a connection that nobody uses. */
const KEPT_ALIVE_MS = 6_000;

const seed = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 31));
t.setTimeout(TIMEOUT_MS);
const ends: (() => Promise<unknown>)[] = [];
t.teardown(async () => {
  for (const end of ends.toReversed()) await end();
});
const world = await World.start((end) => ends.push(end));
const run = new ChaosRun(world);
const plan = planChaos(seed);

/** Exactly these hold a sandbox, and nothing else is there. */
async function settled(holders: readonly Person[]): Promise<void> {
  let wrong: string[] = [];
  const sessions = holders.map(({ session }) => session);
  const exact = async (): Promise<boolean> => {
    wrong = differences(await look(world), sessions);
    return wrong.length === 0;
  };
  await until('exactly what should be there', exact, { timeoutMs: SETTLE_MS, tell: () => wrong.join('\n') });
}

/** All at once; what each found. */
function readAll(people: readonly Person[]): Promise<{ outcome: string; text: string }[]> {
  return Promise.all(people.map((person) => person.read()));
}

/** A server that is killed between a session's row and its first frame leaves one that no client knows. Those that were used. */
async function forgetUnheardOf(people: readonly Person[]): Promise<string[]> {
  const known = new Set(people.map(({ session }) => session));
  const used: string[] = [];
  for (const session of (await storeOf(world)).sessions) {
    if (known.has(session)) continue;
    const url = `${world.engine.url}/v1/sessions/${session}`;
    const { turns } = (await (await fetch(url)).json()) as { turns: number };
    if (turns > 0) used.push(session);
    await fetch(url, { method: 'DELETE' });
  }
  return used;
}

/** Open files with nobody connected; connections that are kept for the next call have gone by then. */
async function filesAtRest(people: readonly Person[]): Promise<string[]> {
  await Promise.all(people.map((person) => person.leave()));
  await settled([]);
  const ports = { [world.redis.port]: 'redis', [Number(new URL(world.model.url).port)]: 'model' };
  const now = (): Promise<string[]> => openFiles(world.engine.pid, ports);
  let files = await now();
  let since = performance.now();
  const still = async (): Promise<boolean> => {
    const before = files.join();
    files = await now();
    if (files.join() !== before) since = performance.now();
    return performance.now() - since > KEPT_ALIVE_MS;
  };
  await until('open files do not change any more', still, { timeoutMs: SETTLE_MS, tell: () => files.join('\n') });
  return files;
}

t.test(`${plan.length} random events, CHAOS_SEED=${seed}`, async (t) => {
  await settled([]);
  await run.play(plan);
  t.comment(JSON.stringify(Object.fromEntries(run.done)), JSON.stringify(Object.fromEntries(run.outcomes)));
  t.ok(run.count >= 200, `${run.count} events`);
  t.equal(run.count, plan.length);
  t.same(run.faults, [], `no fault: ${run.faults.join('; ')}`);
  // Else it was chaos of nothing.
  for (const kind of ['open', 'read', 'write', 'cancel', 'cut']) t.ok((run.outcomes.get(`${kind} ok`) ?? 0) >= 5, kind);
  t.ok(world.logs.some(({ msg, files }) => msg === 'sandbox hibernated' && files !== 0));
});

t.test('after one reconcile exactly what sessions hold is there', async (t) => {
  const people = [...run.people];
  const holders = people.slice(0, HOLDERS);
  await Promise.all(people.map((person) => person.stopNap()));
  const writers = people.slice(HOLDERS, 2 * HOLDERS);
  t.same(await Promise.all(writers.map((person) => person.write())), Array(HOLDERS).fill('ok'));
  await world.reconcile();
  for (const person of holders) t.equal(await person.nap(), 'ok');
  await settled(holders);
  t.same(await forgetUnheardOf(people), [], 'a session that nobody was told of has had no turn');
  const { sessions } = await storeOf(world);
  t.same(sessions.toSorted(), people.map(({ session }) => session).sort(), 'the store has who was not deleted');
});

t.test('whoever has an archive finds its own files, the others nothing', async (t) => {
  const people = [...run.people];
  await Promise.all(people.slice(0, HOLDERS).map((person) => person.stopNap()));
  await settled([]);
  const saved = new Set((await archivesOf(world)).map(sessionOfArchive));
  t.ok(saved.size >= HOLDERS, `${saved.size} of ${people.length} sessions have files`);
  const found = await readAll(people);
  for (const [index, { session }] of people.entries()) {
    t.match(found[index], { outcome: 'ok', text: saved.has(session) ? `${session}#` : /^$/ });
  }
});

t.test('kill -9 and a new start: what had hibernated is there, and nothing else', async (t) => {
  const people = [...run.people];
  const before = await filesAtRest(people);
  const archives = await archivesOf(world);
  await world.killEngine();
  await settled([]);
  t.same(await archivesOf(world), archives);
  const found = await readAll(people);
  t.same(found.filter(({ text }) => text !== '').length, archives.length);
  t.same(before, await filesAtRest(people), 'what the old server had open is what a new one has');
  t.same(
    people.flatMap(({ problems }) => problems),
    [],
  );
});

t.test('deleted sessions leave nothing', async (t) => {
  await Promise.all([...run.people].map((person) => person.delete()));
  await settled([]);
  t.same(await archivesOf(world), []);
  t.same(await storeOf(world), { sessions: [], keys: [] });
});

t.test('a stop leaves nothing', async (t) => {
  world.engine.signal('SIGTERM');
  t.same(await world.engine.exited, { code: 0, signal: null });
  t.same(await world.containers(), []);
  const { shims, inside } = await runningOf(world);
  t.same([...shims.keys(), ...inside.keys()], []);
  t.same(world.model.violations, []);
  const complaints = world.logs.filter(({ level, msg }) => level >= ERROR || /Warning/.test(msg)).map(({ msg }) => msg);
  t.same(
    complaints.filter((msg) => !EXPECTED.test(msg)),
    [],
    'no server had an error that it was not given, nor a warning of Node',
  );
});
