import { randomUUID } from 'node:crypto';
import t from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { createLog, type Logger } from '../../../../src/shared/log.js';
import { DockerDriver } from '../../../../workers/docker/driver/docker-driver.js';
import { OomLog } from '../../../../workers/docker/driver/oom-log.js';
import { docker, dockerHost, WORKSPACE_IMAGE } from '../../../helpers/docker.js';
import { deferred } from '../../../helpers/processes.js';
import { run } from './hardening/box.js';

t.setTimeout(120_000);

const MINUTE_MS = 60_000;

t.test('a sandbox that is out of memory again and again is one line a minute', (t) => {
  const lines: unknown[] = [];
  const log = new OomLog({ warn: (fields: unknown) => lines.push(fields) });
  for (let i = 0; i < 1_000; i++) log.note('a', 'a.session', i);
  log.note('b', 'b.session', 500);
  t.same(lines, [{ container: 'a.session' }, { container: 'b.session' }]);
  log.note('a', 'a.session', MINUTE_MS);
  log.note('a', 'a.session', MINUTE_MS + 1);
  t.same(lines.slice(2), [{ container: 'a.session', times: 1_000 }]);
  log.forget('a');
  log.note('a', 'a.other', MINUTE_MS + 2);
  t.same(lines.slice(3), [{ container: 'a.other' }], 'another container of that name is told of at once');
  t.end();
});

t.test('a sandbox that is out of memory again and again is one line a minute, with a real kernel', async (t) => {
  const lines: { container?: string }[] = [];
  const warn = (fields: { container?: string }): unknown => lines.push(fields);
  const log = Object.assign(Object.create(createLog('test', 'silent')) as Logger, { warn });
  const config = parseConfig(
    { sandbox: { memoryMb: 200, workspaceMb: 32, tmpMb: 16, shmMb: 16 } },
    { DOCKER_HOST: dockerHost() },
  );
  const driver = new DockerDriver(config, randomUUID(), log);
  t.teardown(() => driver.close());
  const follows = deferred<void>();
  const died = deferred<void>();
  driver.watch({ onBack: () => follows.resolve(), onDead: () => died.resolve() });
  await follows.promise;
  const name = `fairlead-test-${randomUUID()}`;
  const { signal } = new AbortController();
  const box = await driver.start({ name, server: 'workspace', image: WORKSPACE_IMAGE, env: {}, signal });
  t.teardown(() => box.destroy());
  const events: string[] = [];
  const stream = await docker().getEvents({ filters: { container: [box.id], event: ['oom'] } });
  stream.on('data', (data: Buffer) => events.push(...data.toString().trim().split('\n')));
  for (let i = 0; i < 5; i++) t.equal((await run(box, ['tail', '/dev/zero'])).code, 137);
  await box.destroy();
  await died.promise; // what came before it on the same stream is logged
  (stream as unknown as { destroy: () => void }).destroy();
  t.ok(events.length > 1, `${events.length} events`);
  t.same(lines, [{ container: name }]);
});
