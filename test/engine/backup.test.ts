/** A backup of a server that works, and what a second one finds in its place. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { verifyLog } from '../../src/audit/verify.js';
import { fairlead } from '../src/cli/backup/backup-kit.js';
import { dockerHost } from '../helpers/docker.js';
import { Engine, startEngine } from '../helpers/engine.js';
import { startModelServer, text, tool } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import { startRedis } from '../helpers/redis.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(600_000);

const PEOPLE = 6;
const storeAt = (redisUrl = '') => ({ REDIS_URL: redisUrl });

async function turnsOf(engine: Engine, session: string): Promise<string> {
  const answer = await fetch(`${engine.url}/v1/sessions/${session}/history`);
  return `${answer.status} ${await answer.text()}`;
}

/** Of a new folder in place of the old one: a machine that has only the backup. */
async function anotherMachine(t: Test, options: ConstructorParameters<typeof Engine>[1]): Promise<Engine> {
  const engine = new Engine(await mkdtemp(join(tmpdir(), 'fl-engine-')), options);
  t.teardown(() => engine.stop());
  return engine;
}

for (const kind of ['the embedded store', 'Redis'] as const) {
  t.test(
    `under load, with ${kind}: each turn that had ended is whole on another machine, files and audit too`,
    async (t) => {
      const model = await startModelServer();
      t.teardown(() => model.close());
      const urls: string[] = [];
      if (kind === 'Redis') {
        for (let n = 0; n < 2; n++) {
          const redis = await startRedis();
          t.teardown(() => redis.stop());
          urls.push(redis.url);
        }
      }
      const optionsOf = (redisUrl = '') => ({
        config: { sandbox: { hibernateAfterMs: 1_000, pool: { min: 0 } }, approvals: { default: 'allow' } },
        env: {
          REDIS_URL: redisUrl,
          DOCKER_HOST: dockerHost(),
          ANTHROPIC_API_KEY: 'sk-x',
          ANTHROPIC_BASE_URL: model.url,
        },
      });
      const engine = await startEngine(optionsOf(urls[0]));
      t.teardown(() => engine.stop());

      const writer = await connect(engine.wsUrl);
      const { session: withFiles } = await writer.ready;
      model.enqueue(tool('write_file', { path: 'notes.txt', content: 'remember me' }), text('done'));
      await writer.ask('write');
      await engine.waitForLog((line) => line.msg === 'sandbox hibernated');
      await writer.close();

      // Everybody talks without a pause until the backup is there.
      const said = new Map<string, string[]>();
      const begun = Array.from({ length: PEOPLE }, () => deferred<void>());
      const over = new AbortController();
      const talk = async (person: number): Promise<void> => {
        const client = await connect(engine.wsUrl);
        const { session } = await client.ready;
        const ended: string[] = [];
        said.set(session, ended);
        for (let n = 1; !over.signal.aborted; n++) {
          const words = `person ${person} says ${n}.`;
          await client.ask(words);
          ended.push(words);
          begun[person]?.resolve();
        }
        await client.close();
      };
      const talking = Array.from({ length: PEOPLE }, (_, person) => talk(person));
      await Promise.all(begun.map(({ promise }) => promise));
      const before = new Map([...said].map(([session, ended]) => [session, [...ended]]));
      const folder = await mkdtemp(join(tmpdir(), 'fl-backups-'));
      t.teardown(() => rm(folder, { recursive: true, force: true }));
      const file = join(folder, 'b.tar.gz');
      t.match(await fairlead(engine.dataDir, ['backup', '--config', engine.configPath, file], storeAt(urls[0])), {
        code: 0,
      });
      over.abort();
      await Promise.all(talking);
      engine.signal('SIGTERM');
      t.same(await engine.exited, { code: 0, signal: null });

      const other = await anotherMachine(t, optionsOf(urls[1]));
      t.match(await fairlead(other.dataDir, ['restore', file], storeAt(urls[1])), { code: 0, stderr: '' });
      const verdict = await verifyLog(other.dataDir);
      t.equal(verdict.break, undefined, JSON.stringify(verdict.break));
      await other.start();
      t.equal(await other.instance(), await engine.instance());
      let count = 0;
      for (const [session, ended] of before) {
        const history = await turnsOf(other, session);
        for (const words of ended) {
          count++;
          t.ok(history.includes(words), words);
        }
      }
      t.ok(count >= PEOPLE);
      const again = await connect(other.wsUrl, { session: withFiles });
      model.enqueue(tool('read_file', { path: 'notes.txt' }), text('read'));
      again.say('read');
      t.match(JSON.stringify(await again.waitFor('tool:result')), 'remember me');
      await again.turnEnd();
      await again.close();
      t.ok((await readdir(join(other.dataDir, 'workspaces'))).length > 0);
    },
  );
}

t.test('files that were only in a sandbox at the backup are told as lost on another machine', async (t) => {
  const model = await startModelServer();
  t.teardown(() => model.close());
  const options = {
    config: { sandbox: { pool: { min: 0 }, checkpoint: { enabled: false } }, approvals: { default: 'allow' } },
    env: { DOCKER_HOST: dockerHost(), ANTHROPIC_API_KEY: 'sk-x', ANTHROPIC_BASE_URL: model.url },
  };
  const engine = await startEngine(options);
  t.teardown(() => engine.stop());
  const client = await connect(engine.wsUrl);
  const { session } = await client.ready;
  model.enqueue(tool('write_file', { path: 'notes.txt', content: 'only here' }), text('done'));
  await client.ask('write');
  const folder = await mkdtemp(join(tmpdir(), 'fl-backups-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'b.tar.gz');
  t.match(await fairlead(engine.dataDir, ['backup', '--config', engine.configPath, file]), { code: 0 });
  await client.close();
  engine.signal('SIGTERM');
  t.same(await engine.exited, { code: 0, signal: null });
  const other = await anotherMachine(t, options);
  t.match(await fairlead(other.dataDir, ['restore', file]), { code: 0 });
  await other.start();
  const again = await connect(other.wsUrl, { session, after: 0 });
  t.match(await again.waitFor('sandbox:lost', { from: 0 }), { reason: 'its container was gone' });
  model.enqueue(tool('read_file', { path: 'notes.txt' }), text('read'));
  again.say('read');
  t.match(await again.waitFor('tool:result'), { ok: false });
  await again.turnEnd();
  await again.close();
});
