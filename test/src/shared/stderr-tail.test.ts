import t from 'tap';
import { StderrTail } from '../../../src/shared/stderr-tail.js';

const told = (text: string, env: Record<string, string> = {}): string => {
  const tail = new StderrTail(env);
  tail.add(text);
  return tail.told;
};

void t.test('nothing is told of a server that has printed nothing', async (t) => {
  t.equal(new StderrTail().told, '');
  t.equal(told('\n  \n'), '');
});

void t.test('the last lines are told, without the frames of an exception', async (t) => {
  const trace = [
    '/srv/server.js:7',
    'throw new Error("no token");',
    '',
    'Error: no token',
    '    at Object.<anonymous> (/srv/server.js:7:7)',
    '    at node:internal/main/run_main_module:23:47',
    '',
    'Node.js v20.20.2',
    '',
  ].join('\n');
  t.equal(told(trace), '; its stderr ends with: /srv/server.js:7 | throw new Error("no token"); | Error: no token');
  t.equal(told(Array.from({ length: 99 }, (_, i) => `line ${i}`).join('\r\n')).split(' | ').length, 6);
});

void t.test('pieces are put together, and the end of much output is kept in bounds', async (t) => {
  const tail = new StderrTail();
  tail.add('x'.repeat(1_000_000));
  tail.add(Buffer.from('\nGrü'.slice(0, 4)));
  for (const byte of Buffer.from('üße')) tail.add(Buffer.from([byte]));
  tail.add('\n');
  t.equal(tail.told, '; its stderr ends with: Grüüße');
  t.ok(told('y'.repeat(1_000_000)).length < 500);
});

void t.test('no terminal obeys it, and half a character is dropped', async (t) => {
  t.equal(told('\u001B[31mred\u001B[0m \u0007bell\u202E'), '; its stderr ends with: red \\u0007bell\\u202e');
  const tail = new StderrTail();
  tail.add(`${'ü'.repeat(5_000)}!`);
  t.notMatch(tail.told, /\uFFFD/);
});

void t.test('the values of its environment become their names', async (t) => {
  const env = { API_TOKEN: 'tok-123456', MODE: 'dev', LONG: 'tok-123456-and-more' };
  t.equal(
    told('bad tok-123456 in dev, tok-123456-and-more', env),
    '; its stderr ends with: bad [API_TOKEN] in dev, [LONG]',
  );
});
