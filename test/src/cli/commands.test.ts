import t from 'tap';
import { helpText, parseLine } from '../../../src/cli/commands.js';

t.test('a line is a message, a command, an unknown command or nothing', async (t) => {
  t.strictSame(parseLine('  hello '), { kind: 'message', text: 'hello' });
  t.strictSame(parseLine('/sessions 2 '), { kind: 'command', command: 'sessions', argument: '2' });
  t.strictSame(parseLine('/quit'), { kind: 'command', command: 'quit', argument: '' });
  t.strictSame(parseLine('/nope'), { kind: 'unknown', name: 'nope' });
  t.strictSame(parseLine('/constructor'), { kind: 'unknown', name: 'constructor' });
  t.strictSame(parseLine('   '), { kind: 'empty' });
});

t.test('a path is a message, and two slashes make any line one', async (t) => {
  t.strictSame(parseLine('/workspace/a.txt is empty'), { kind: 'message', text: '/workspace/a.txt is empty' });
  t.strictSame(parseLine('//quit'), { kind: 'message', text: '/quit' });
});

t.test('the help names every command', async (t) => {
  for (const name of ['cancel', 'reset', 'sessions', 'new', 'history', 'quit', 'help']) {
    t.match(helpText(), `/${name}`);
  }
});
