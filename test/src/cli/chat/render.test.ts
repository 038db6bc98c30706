import pc from 'picocolors';
import t from 'tap';
import { Renderer } from '../../../../src/cli/chat/render.js';
import type { PendingApproval, ServerEvent } from '../../../../src/shared/protocol.js';

const PLAIN = pc.createColors(false);
const USAGE = { inputTokens: 7, outputTokens: 3, cacheReadTokens: 0, cacheWriteTokens: 0 };
const END = { type: 'turn:end', seq: 9, turn: 1, usage: USAGE, ms: 1500, model: 'stand-in' } as const;

function renderAll(events: readonly ServerEvent[], colors = PLAIN): string {
  const renderer = new Renderer(colors);
  return events.map((event) => renderer.render(event)).join('');
}

function text(part: string, offset = 0): ServerEvent {
  return { type: 'text:delta', turn: 1, block: 0, offset, text: part };
}

function start(callId: string, name = 'run_command'): ServerEvent {
  return { type: 'tool:start', seq: 1, callId, name, server: 'workspace', args: { command: 'ls' } };
}

function output(callId: string, part: string, stream: 'stdout' | 'stderr' = 'stdout'): ServerEvent {
  return { type: 'tool:output', callId, stream, offset: 0, text: part };
}

function waits(more: object): string {
  return renderAll([{ type: 'turn:waiting', turn: 1, ...more } as ServerEvent]);
}

function approval(args: Record<string, unknown>): PendingApproval {
  const place = { position: 2, total: 3, expiresAt: 0 };
  return { kind: 'approval', turn: 1, callId: 'c', name: 'run_command', server: 'workspace', args, ...place };
}

t.test('an answer comes as it is, and what follows starts a line', async (t) => {
  const shown = renderAll([text('Hel'), text('lo'), { ...END, stopReason: 'end_turn' }]);
  t.equal(shown, 'Hello\n— stand-in · 1.5 s · 7 in, 3 out\n');
});

t.test('a wait is told with its reason, and for how long where that is known', async (t) => {
  t.equal(
    waits({ reason: 'model_rate', retryAfterMs: 12_400 }),
    'the model’s API is over its rate limit; the turn waits, for about 12 s\n',
  );
  t.equal(waits({ reason: 'sandbox' }), 'the call waits for a sandbox\n');
  t.equal(waits({ reason: 'of a newer server' }), 'the turn waits\n');
});

t.test('thinking is dimmed and stands on its own lines', async (t) => {
  const thinking: ServerEvent = { type: 'thinking:delta', turn: 1, block: 0, offset: 0, text: 'hm' };
  t.equal(renderAll([thinking, text('yes')], pc.createColors(true)), '\u001B[2mhm\u001B[22m\nyes');
});

t.test('a call shows its name, its arguments, its output and what came of it', async (t) => {
  const shown = renderAll([
    text('I look.'),
    start('c1'),
    output('c1', 'a.txt\nb'),
    output('c1', '.txt\n'),
    {
      type: 'tool:result',
      seq: 2,
      callId: 'c1',
      ok: true,
      content: [{ type: 'text', text: 'a.txt\nb.txt\n' }],
      ms: 42,
    },
  ]);
  t.equal(
    shown,
    [
      'I look.',
      '⚙ workspace/run_command {"command":"ls"}',
      '  │ a.txt',
      '  │ b.txt',
      '✓ workspace/run_command · 42 ms · 12 characters',
      '',
    ].join('\n'),
  );
});

t.test('a result that was not streamed shows its first lines', async (t) => {
  const content = [{ type: 'text', text: Array.from({ length: 20 }, (_, i) => `line ${i}`).join('\n') }] as const;
  const shown = renderAll([
    start('c1'),
    { type: 'tool:result', seq: 2, callId: 'c1', ok: false, content: [...content], ms: 1 },
  ]);
  t.match(shown, '✗ workspace/run_command · 1 ms · 149 characters\n  │ line 0\n');
  t.match(shown, '  │ line 7\n  │ … 12 more lines\n');
});

t.test('the output of parallel calls says whose it is where it changes hands', async (t) => {
  const shown = renderAll([
    start('c1', 'one'),
    start('c2', 'two'),
    output('c1', 'a'),
    output('c2', 'b'),
    output('c2', 'c'),
  ]);
  t.match(shown, '  ┌ workspace/one\n  │ a\n  ┌ workspace/two\n  │ bc');
});

t.test('output without end is cut', async (t) => {
  const long = 'x'.repeat(40_000);
  const shown = renderAll([start('c1'), output('c1', long), output('c1', long), output('c1', long)]);
  t.ok(shown.length < 41_000);
  t.match(shown, /more output is not shown\n$/);
});

t.test('no text of model, tool or server reaches the terminal with control characters', async (t) => {
  const evil = 'x\u001B[2J\u001B]0;t\u0007\u009B1m\u0000\u202Ey';
  const block = { type: 'text' as const, text: evil };
  const events: ServerEvent[] = [
    text(evil),
    { type: 'thinking:delta', turn: 1, block: 1, offset: 0, text: evil },
    { type: 'tool:start', seq: 1, callId: 'c', name: evil, server: evil, args: { [evil]: evil } },
    output('c', evil, 'stderr'),
    { type: 'tool:result', seq: 2, callId: 'c', ok: false, content: [block, { type: 'resource', uri: evil }], ms: 1 },
    { type: 'tool:denied', seq: 3, callId: 'c', by: 'user', reason: evil },
    { type: 'tool:denied', seq: 4, callId: 'd', name: evil, server: evil, by: 'policy' },
    { type: 'error', code: evil, message: evil },
    { ...END, stopReason: 'error', error: { code: evil, message: evil }, model: evil },
  ];
  const renderer = new Renderer(PLAIN);
  const shown = [
    ...events.map((event) => renderer.render(event)),
    renderer.question({ ...approval({ [evil]: evil, deep: { evil } }), name: evil, server: evil }),
    renderer.question({ kind: 'elicitation', requestId: 'r', server: evil, mode: 'url', message: evil, url: evil }),
    renderer.transcript([{ role: 'user', content: [block, { type: 'tool_result', content: [block] }] }]),
  ].join('');
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  t.notMatch(shown, /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E]/);
});

t.test('a denial names its tool, also where a rule denied what nobody was asked about', async (t) => {
  const denied: ServerEvent = { type: 'tool:denied', seq: 3, callId: 'c', name: 'rm', server: 'files', by: 'policy' };
  t.match(renderAll([denied]), 'denied by policy files/rm');
});

t.test('an escape sequence in two pieces, and half a character, do no harm', async (t) => {
  const shown = renderAll([text('a\u001B'), text('[31mb'), text('\uD83D'), text('\uDC4D')]);
  t.equal(shown, 'a[31mb👍');
});

t.test('an approval shows its place and every argument, hidden characters escaped', async (t) => {
  const args = { command: 'echo hi\nrm -rf .\u001B[1A', deep: { a: 1 }, n: 3 };
  t.equal(
    new Renderer(PLAIN).question(approval(args)),
    [
      '? workspace/run_command (2 of 3)',
      '    command:',
      '      echo hi',
      String.raw`      rm -rf .\u001b[1A`,
      '    deep:',
      '      {',
      '        "a": 1',
      '      }',
      '    n: 3',
      '',
    ].join('\n'),
  );
  const long = new Renderer(PLAIN).question(approval({ text: 'l\n'.repeat(100) }));
  t.match(long, /… 62 more lines: \[e\] shows all\n$/);
});

t.test('an approval shows the end of a long line too, and of a long name', async (t) => {
  const renderer = new Renderer(PLAIN);
  const command = `echo hi${' '.repeat(5_000)}; rm -rf ~`;
  t.match(renderer.question(approval({ command })), '; rm -rf ~\n');
  t.match(renderer.question(approval({ [`${'n'.repeat(500)} the end`]: 1 })), ' the end: 1\n');
  const many = renderer.question(approval({ text: '👍'.repeat(30_000) }));
  t.match(many, /… \d+ more lines: \[e\] shows all\n$/);
  t.notMatch(many, /\uFFFD/);
});

t.test('lost files are said: why, since when, and which', async (t) => {
  const lost = { type: 'sandbox:lost', seq: 5, server: 'workspace', reason: 'out of memory' } as const;
  t.match(renderAll([lost]), '! The sandbox of workspace was replaced (out of memory). Its files are lost.');
  t.match(
    renderAll([{ ...lost, since: 0, missing: ['a (a socket)'] }]),
    'Files changed after 1970-01-01T00:00:00.000Z are lost, the others are back. Not saved: a (a socket).',
  );
});

t.test('every way a turn can end is said', async (t) => {
  for (const stopReason of ['max_tokens', 'cancelled', 'interrupted', 'refusal'] as const) {
    t.match(renderAll([{ ...END, stopReason }]), /^[a-z].* — stand-in/);
  }
  const error = { code: 'ERR_MODEL', message: 'busy' };
  t.match(renderAll([{ ...END, stopReason: 'error', error }]), '✗ ERR_MODEL: busy');
});

t.test(
  'a question says when it comes from code in the sandbox, and its lines cannot pass for lines of ours',
  async (t) => {
    const question = { kind: 'elicitation', requestId: 'r', server: 'workspace', mode: 'form' } as const;
    const message = 'Hello\n? workspace/run_command\nallow?';
    const shown = new Renderer(PLAIN).question({ ...question, origin: 'sandbox', message });
    t.equal(
      shown,
      [
        '? workspace asks: Hello',
        '  │ ? workspace/run_command',
        '  │ allow?',
        '    this text comes from code in the sandbox, not from Fairlead: enter no secrets',
        '',
      ].join('\n'),
    );
    t.notMatch(new Renderer(PLAIN).question({ ...question, message }), 'sandbox, not');
  },
);

t.test('an approval shows the tool in its server’s words, what it says of itself, and what has changed', async (t) => {
  const tool = {
    title: 'Run',
    description: 'Runs it\n? workspace/read_file\nallow?',
    hints: { readOnly: false, destructive: true },
    definition: 'h',
    changed: ['description' as const],
  };
  t.equal(
    new Renderer(PLAIN).question({ ...approval({ command: 'ls' }), tool }),
    [
      '? workspace/run_command (2 of 3)',
      '    command: ls',
      '  │ Run',
      '  │ Runs it',
      '  │ ? workspace/read_file',
      '  │ allow?',
      '    its server says: it changes things, it may destroy',
      '    changed since you last saw it: description',
      '',
    ].join('\n'),
  );
});

t.test('of a tool that says it only reads, no more is said than where it reaches', async (t) => {
  const hints = { readOnly: true, destructive: false, idempotent: true, openWorld: true };
  const shown = new Renderer(PLAIN).question({ ...approval({}), tool: { description: '', hints, definition: 'h' } });
  t.match(shown, 'its server says: it only reads, it reaches beyond its own data\n');
});
