import { spawn } from 'node:child_process';
import { fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { eachLine, watchExit } from '../../helpers/processes.js';

interface Result {
  lines: Record<string, unknown>[];
  code: number | null;
}

/** A process that logs, its stdout a pipe. */
async function runLogging(code: string): Promise<Result> {
  const module = new URL('../../../src/shared/log.js', import.meta.url).href;
  const source = `import { createLog } from '${module}';\n${code}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: Record<string, unknown>[] = [];
  const read = new Promise<void>((resolve) => child.stdout.once('close', resolve));
  eachLine(child.stdout, (line) => lines.push(JSON.parse(line) as Record<string, unknown>));
  const { code: exit } = await watchExit(child);
  await read;
  return { lines, code: exit };
}

void t.test('each line is JSON with its thread, from the configured level up', async (t) => {
  const { lines } = await runLogging(`
    const log = createLog('main', 'info');
    log.debug('not this');
    log.info({ session: 's-1' }, 'this');
    log.child({ agent: 2 }).warn('and this');`);
  t.match(lines, [
    { level: 30, thread: 'main', session: 's-1', msg: 'this', pid: Number, time: Number },
    { level: 40, thread: 'main', agent: 2, msg: 'and this' },
  ]);
  t.equal(lines.length, 2);
});

void t.test('secrets in an object that is logged by mistake are not written', async (t) => {
  const { lines } = await runLogging(`
    createLog('main', 'info').info({
      token: 'SECRET', apiKey: 'SECRET', authorization: 'SECRET', headers: { cookie: 'SECRET' },
      request: { headers: { authorization: 'SECRET' }, token: 'SECRET', apiKey: 'SECRET' },
      fine: 'seen',
    }, 'a request');`);
  t.notMatch(JSON.stringify(lines), 'SECRET');
  t.match(lines, [{ fine: 'seen' }]);
});

void t.test('the last line before the process ends at once is written', async (t) => {
  const { lines, code } = await runLogging(`createLog('main', 'info').fatal('the end'); process.exit(3);`);
  t.match(lines, [{ level: 60, msg: 'the end' }]);
  t.equal(code, 3);
});

void t.test('a worker’s lines are written though its main thread is busy', async (t) => {
  const { lines } = await runLogging(`
    import { Worker, isMainThread } from 'node:worker_threads';
    const flag = new Int32Array(new SharedArrayBuffer(4));
    const inside = \`import('${new URL('../../../src/shared/log.js', import.meta.url).href}').then(({ createLog }) => {
      createLog('agent-0', 'info').info('from the worker');
      const flag = require('node:worker_threads').workerData;
      Atomics.store(flag, 0, 1);
      Atomics.notify(flag, 0);
    });\`;
    new Worker(inside, { eval: true, workerData: flag });
    setTimeout(() => { Atomics.wait(flag, 0, 0, 15000); process.kill(process.pid, 'SIGKILL'); }, 200);`);
  t.match(lines, [{ thread: 'agent-0', msg: 'from the worker' }]);
});

void t.test('Node’s warnings and an error that nobody catches are lines, too', async (t) => {
  const words = new URL('../../../src/shared/node-words.js', import.meta.url).href;
  const { lines, code } = await runLogging(`
    const { logFatalErrors, logWarnings } = await import('${words}');
    const log = createLog('main', 'info');
    logWarnings(log);
    logFatalErrors(log);
    process.emitWarning('a listener too many', { code: 'MANY' });
    setImmediate(() => Promise.reject(new Error('nobody')));`);
  t.match(lines, [
    { level: 40, code: 'MANY', msg: 'Warning: a listener too many' },
    { level: 60, err: /^Error: nobody\n/, msg: 'a fault in the server ends the process' },
  ]);
  t.equal(code, 1);
});

void t.test('lines to the journal begin with their priority', async (t) => {
  const folder = t.testdir({ journal: '' });
  const module = new URL('../../../src/shared/log.js', import.meta.url).href;
  const file = join(folder, 'journal');
  const journal = openSync(file, 'a');
  const { dev, ino } = fstatSync(journal, { bigint: true });
  const source = `import { createLog } from '${module}'; createLog('main', 'info').error('e'); createLog('main', 'info', { fd: 2 }).warn('w');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', journal, 'inherit'],
    env: { ...process.env, JOURNAL_STREAM: `${dev}:${ino}` },
  });
  await watchExit(child);
  t.match(readFileSync(file, 'utf8'), /^<3>\{"level":50.*"msg":"e"\}\n$/);
});
