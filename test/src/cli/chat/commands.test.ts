import t from 'tap';
import { helpText, parseLine } from '../../../../src/cli/chat/commands.js';

t.test('a line is a message, a command, an unknown command or nothing', async (t) => {
  t.strictSame(parseLine('  hello '), { kind: 'message', text: 'hello' });
  t.strictSame(parseLine('/sessions 2 '), { kind: 'command', command: 'sessions', argument: '2' });
  t.strictSame(parseLine('/quit'), { kind: 'command', command: 'quit', argument: '' });
  t.strictSame(parseLine('/nope'), { kind: 'unknown', name: 'nope' });
  t.strictSame(parseLine('/args-prompt city'), { kind: 'unknown', name: 'args-prompt' });
  t.strictSame(parseLine('/constructor'), { kind: 'unknown', name: 'constructor' });
  t.strictSame(parseLine('   '), { kind: 'empty' });
});

t.test('a path is a message, and two slashes make any line one', async (t) => {
  t.strictSame(parseLine('/workspace/a.txt is empty'), { kind: 'message', text: '/workspace/a.txt is empty' });
  t.strictSame(parseLine('//quit'), { kind: 'message', text: '/quit' });
});

t.test('a server and its prompt after a slash are that prompt, with what follows as its arguments', async (t) => {
  t.strictSame(parseLine('/docs:greet Ada '), { kind: 'prompt', server: 'docs', prompt: 'greet', argument: 'Ada' });
  t.strictSame(parseLine('/my-server:a.b'), { kind: 'prompt', server: 'my-server', prompt: 'a.b', argument: '' });
  t.strictSame(parseLine('/docs: x'), { kind: 'message', text: '/docs: x' });
});

t.test('the help names every command', async (t) => {
  for (const name of ['cancel', 'reset', 'sessions', 'new', 'history', 'mcp', 'prompts', 'quit', 'help']) {
    t.match(helpText(), `/${name}`);
  }
});
