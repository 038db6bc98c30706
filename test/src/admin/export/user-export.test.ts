/** Exports of users, with the threads in memory: what is in them, what is named as missing, and what is left behind. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pino from 'pino';
import t, { type Test } from 'tap';
import { extract } from 'tar-stream';
import { UserExports, type UserExportsOptions } from '../../../../src/admin/export/user-export.js';
import { FairleadError } from '../../../../src/shared/errors.js';

const never = new AbortController().signal;
const reader = { user: 'root', who: { role: 'admin', groups: [], credential: 'tok_1', address: '' } } as const;

interface World {
  exports: UserExports;
  dataDir: string;
  looks: string[];
}

/** `answers` are those of the agent threads, by request; two sessions, `one` and `two`, unless it says otherwise. */
async function world(t: Test, answers: Record<string, (body: never) => unknown> = {}): Promise<World> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fl-export-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const looks: string[] = [];
  const all: Record<string, (body: never) => unknown> = {
    'read-usage': () => ({ currency: 'USD', rows: [{ name: 'm', inputTokens: 7 }] }),
    'list-sessions': () => ({ sessions: [{ session: 'one' }, { session: 'two' }] }),
    'get-session': ({ session }: { session: string }) => ({ session, title: 'hello' }),
    'session-size': () => ({ server: 'here' }),
    'read-history': ({ place }: { place?: object }) =>
      place ? { bytes: Buffer.from('3}]') } : { bytes: Buffer.from('{"a":[1,'), next: { offset: 8 } },
    'read-events': ({ after }: { after: number }) =>
      after === 0 ? { lines: '{"seq":1}\n', next: 1 } : { lines: '{"seq":2}\n' },
    look: () => undefined,
    ...answers,
  };
  const exports = new UserExports({
    agents: { request: async (_key: string, name: string, body: never) => all[name]!(body) },
    docker: () => ({
      run: async (_name: string, { session, folder }: { session: string; folder: string }) => {
        const file = join(folder, `${session}.tar`);
        await writeFile(file, 'files');
        return {
          workspaces: [
            { server: 'ws', file, skipped: 2 },
            { server: 'old', problem: 'its save is damaged' },
          ],
        };
      },
    }),
    credentials: () => ({ list: async () => ({ tokens: [{ id: 'tok_a', note: 'laptop' }] }) }),
    desk: {
      onSession: async (act: { session: string }) => {
        all['look']!(act as never);
        looks.push(act.session);
      },
    },
    instance: 'here',
    dataDir,
    keepDays: () => 30,
    log: pino({ level: 'silent' }),
  } as unknown as UserExportsOptions);
  return { exports, dataDir, looks };
}

async function filesOf(tar: AsyncIterable<Uint8Array>): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const unpacking = extract();
  unpacking.on('entry', ({ name }, content, next) => {
    const parts: Buffer[] = [];
    content.on('data', (part) => parts.push(part as Buffer));
    content.on('end', () => {
      found.set(name.replace('fairlead-export/', ''), Buffer.concat(parts).toString());
      next();
    });
  });
  await pipeline(Readable.from(tar), unpacking);
  return found;
}

interface Manifest {
  files: string[];
  missing: { session: string; what: string; why: string }[];
}

t.test('an export has sessions, usage and tokens, and its manifest names what is in it and what is not', async (t) => {
  const { exports, dataDir, looks } = await world(t);
  const files = await filesOf(exports.open({ user: 'ada' }, never));
  t.equal(files.get('sessions/one/messages.json'), '[{"a":[1,3}]]\n');
  t.equal(files.get('sessions/two/events.ndjson'), '{"seq":1}\n{"seq":2}\n');
  t.equal(files.get('sessions/one/workspaces/ws.tar'), 'files');
  t.match(files.get('tokens.json'), /laptop/);
  t.match(files.get('usage.json'), /"inputTokens": 7/);
  t.match([...files.keys()].at(-1), 'manifest.json', 'with it the export is whole');
  const manifest = JSON.parse(files.get('manifest.json')!) as Manifest;
  t.match(manifest, { format: 1, user: 'ada', exportedBy: 'ada', sessions: 2 });
  t.same([...manifest.files, 'manifest.json'], [...files.keys()]);
  t.match(manifest.missing.slice(0, 2), [
    { session: 'one', what: 'workspaces/ws.tar', why: '2 files could not be saved' },
    { session: 'one', what: 'workspaces/old.tar', why: 'its save is damaged' },
  ]);
  t.same(looks, [], 'nobody is told of a look at what is their own');
  t.same(readdirSync(join(dataDir, 'exports')), [], 'nothing is left on the disk');
});

t.test('each session’s user is told before an administrator gets it; what cannot be told is left out', async (t) => {
  const { exports, looks } = await world(t);
  const files = await filesOf(exports.open({ user: 'ada', reader }, never));
  t.same(looks, ['one', 'two']);
  t.ok(files.has('sessions/two/messages.json'));
  const { exports: mute } = await world(t, {
    look: ({ session }: { session: string }) => {
      if (session === 'one') throw new FairleadError('ERR_UNAVAILABLE', 'its server is away');
    },
  });
  const rest = await filesOf(mute.open({ user: 'ada', reader }, never));
  t.notOk([...rest.keys()].some((name) => name.includes('sessions/one')));
  t.ok(rest.has('sessions/two/messages.json'));
  t.match((JSON.parse(rest.get('manifest.json')!) as Manifest).missing, [
    { session: 'one', why: /its server is away/ },
  ]);
});

t.test('a session that is deleted meanwhile is named, and costs the others nothing', async (t) => {
  const { exports } = await world(t, {
    'get-session': ({ session }: { session: string }) => {
      if (session === 'one') throw new FairleadError('ERR_NO_SUCH_SESSION', 'no such session');
      return { session };
    },
  });
  const files = await filesOf(exports.open({ user: 'ada' }, never));
  t.notOk([...files.keys()].some((name) => name.includes('sessions/one')));
  t.match((JSON.parse(files.get('manifest.json')!) as Manifest).missing, [{ session: 'one', why: 'no such session' }]);
  t.ok(files.has('sessions/two/messages.json'));
});

t.test('a reader that leaves in the middle leaves nothing behind, and the user can be exported again', async (t) => {
  const { exports, dataDir } = await world(t);
  const tar = exports.open({ user: 'ada' }, never);
  t.throws(() => exports.open({ user: 'ada' }, never), { code: 'ERR_TOO_MANY_REQUESTS', message: /runs already/ });
  const other = exports.open({ user: 'bob' }, never);
  t.throws(() => exports.open({ user: 'cy' }, never), { code: 'ERR_TOO_MANY_REQUESTS', message: /too many/ });
  await tar.next();
  await tar.return(undefined);
  await filesOf(other);
  t.same(readdirSync(join(dataDir, 'exports')), []);
  t.ok((await filesOf(exports.open({ user: 'ada' }, never))).has('manifest.json'));
  await writeFile(join(dataDir, 'exports', 'left by a crash'), 'x');
  await exports.clean();
  t.notOk(existsSync(join(dataDir, 'exports')));
});

t.test('while the store is away no tar begins', async (t) => {
  const { exports } = await world(t, {
    'list-sessions': () => {
      throw new FairleadError('ERR_UNAVAILABLE', 'the store does not answer');
    },
  });
  await t.rejects(exports.open({ user: 'ada' }, never).next(), { code: 'ERR_UNAVAILABLE' });
});
