import t from 'tap';
import { ProgressStream, type ProgressPiece } from '../../../workers/workspace/progress.js';
import { blocksOf, startWorkspace, streamOf } from './workspace-client.js';

t.test('output is streamed while the command runs, each piece with its stream, and the total grows', async (t) => {
  const ws = await startWorkspace(t);
  const seen: { stream: unknown; text: string; progress: number }[] = [];
  // The command goes on only when its first line has come through: this deadlocks if output waits for the end.
  const result = await ws.call(
    'run_command',
    { command: 'echo one; echo two >&2; until [ -e go ]; do sleep 0.05; done; echo three' },
    {
      onprogress: (progress) => {
        const first = seen.length === 0;
        seen.push({ stream: streamOf(progress), text: progress.message ?? '', progress: progress.progress });
        if (first) void ws.call('write_file', { path: 'go', content: '' });
      },
    },
  );
  const of = (stream: string): string =>
    seen
      .filter((piece) => piece.stream === stream)
      .map((p) => p.text)
      .join('');
  t.equal(of('stdout'), 'one\nthree\n');
  t.equal(of('stderr'), 'two\n');
  t.ok(seen.every((piece, i) => piece.progress > (seen[i - 1]?.progress ?? 0)));
  t.equal(blocksOf(result)[0], 'one\nthree\n', 'the result has it all again');
});

t.test('without a progress token nothing is streamed', async (t) => {
  const ws = await startWorkspace(t);
  const errors: Error[] = [];
  ws.client.onerror = (error) => errors.push(error);
  await ws.text('run_command', { command: 'echo one' });
  t.same(errors, []);
});

t.test('ten thousand lines a second are a few notifications', async (t) => {
  const ws = await startWorkspace(t);
  let pieces = 0;
  let text = '';
  const started = performance.now();
  await ws.call(
    'run_command',
    { command: 'for i in 1 2 3 4 5 6 7 8 9 10; do seq 1 1000; sleep 0.1; done' },
    {
      onprogress: ({ message = '' }) => {
        pieces++;
        text += message;
      },
    },
  );
  t.equal(text.split('\n').length, 10_001);
  t.ok(pieces <= (performance.now() - started) / 50 + 10, `${pieces} notifications`);
});

t.test('a character that is cut in two by the pipe arrives whole', async (t) => {
  const ws = await startWorkspace(t);
  let text = '';
  const command = String.raw`printf '\360\237'; sleep 0.2; printf '\232\200\303'; sleep 0.2; printf '\251\n'`;
  await ws.call('run_command', { command }, { onprogress: ({ message = '' }) => (text += message) });
  t.equal(text, '🚀é\n');
});

t.test('the two streams do not mix their torn characters', async (t) => {
  const pieces: ProgressPiece[] = [];
  const stream = new ProgressStream(async (piece) => void pieces.push(piece));
  stream.push('stdout', Buffer.from([0xc3]));
  stream.push('stderr', Buffer.from([0xe2, 0x82]));
  stream.push('stdout', Buffer.from([0xa9]));
  stream.push('stderr', Buffer.from([0xac]));
  await stream.end();
  t.same(pieces, [
    { stream: 'stdout', text: 'é', total: 2 },
    { stream: 'stderr', text: '€', total: 5 },
  ]);
});

t.test('a slow client holds up the pieces, which then grow, and the bound holds', async (t) => {
  const pieces: string[] = [];
  const waiting: (() => void)[] = [];
  const stream = new ProgressStream(async ({ text }) => {
    pieces.push(text);
    if (pieces.length === 1) await new Promise<void>((resolve) => waiting.push(resolve));
  });
  for (let i = 0; i < 200; i++) stream.push('stdout', Buffer.alloc(16_384, 'x'));
  t.equal(pieces.length, 1, 'one piece is under way');
  waiting[0]?.();
  await stream.end();
  t.equal(pieces.length, 2);
  t.match(pieces.join(''), /^x{1048576}\n\[/);
  t.match(pieces[1], /only the first 1048576 bytes are streamed/);
});

t.test('a client that has gone ends the streaming without an error', async (t) => {
  let calls = 0;
  const stream = new ProgressStream(async () => {
    calls++;
    throw new Error('gone');
  });
  stream.push('stdout', Buffer.from('a'));
  await stream.end();
  stream.push('stdout', Buffer.from('b'));
  await stream.end();
  t.equal(calls, 1);
});
